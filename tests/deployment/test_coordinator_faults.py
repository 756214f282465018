"""A coordinator that is killed at any moment pays once; one that lies is told nothing new."""

import os
import signal
from pathlib import Path

import pytest

from faults import PATIENCE_S, Hurt, command_line, until
from fedpate.errors import EngineError
from fedpate.federation.deployment.control import Control
from fedpate.federation.refusals import REASONS, Code

pytestmark = pytest.mark.processes

PAUSING = Path(__file__).parents[1] / "pausing"
TRAIN, PREDICT = "train.teachers", "query.predict"
HOSPITALS = ("north", "south")
RUN_FILES = {
    *("summary.json", "report.html", "labels.csv", "details.json", "ledger.sqlite", "fedpate.log"),
    *("student.pt", "student.onnx"),
}


class Pauses:
    """Where the coordinator's next run is to wait."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()

    def at(self, moment):
        (self.folder / "reached").unlink(missing_ok=True)
        (self.folder / "at").write_text(moment)

    def wait(self, run):
        until(lambda: run.process.poll() is not None or (self.folder / "reached").exists(), "pause")
        assert run.process.poll() is None, run.text()

    def over(self):
        (self.folder / "at").unlink()


def coordinators(federation):
    """The ids of the processes that run a coordinator's app."""
    return [pid for pid in federation.processes() if "server_task" in command_line(pid)]


def test_a_coordinator_that_is_killed_pays_once_and_a_dishonest_one_learns_nothing_new(
    tmp_path, monkeypatch
):
    pauses = Pauses(tmp_path / "pauses")
    monkeypatch.setenv("FEDPATE_TEST_PAUSE", str(pauses.folder))
    monkeypatch.setenv("PYTHONPATH", str(PAUSING), prepend=os.pathsep)
    federation = Hurt(tmp_path, *HOSPITALS)
    try:
        coordinator = federation.coordinator()
        for name in HOSPITALS:
            federation.hospital(name)
        coordinator.wait_for(" joined (", times=2)
        asked = killed_at_each_step(federation, pauses)
        without_its_superlink(federation, pauses, asked)
        asking_too_much(federation)
    finally:
        federation.stop()


def answers(kit):
    """Whether the SuperLink of a kit is there, as `fedpate deploy` asks it."""
    control = Control(kit)
    try:
        control.nodes()
    except EngineError:
        return False
    else:
        return True
    finally:
        control.client.close()


def killed_at_each_step(federation, pauses):
    """Before the charge, after it, after the release, while the student trains.

    The same command goes on from there. Returns how often each hospital was asked for votes
    before the release: later runs need none.
    """
    for moment, victim, charged in (
        ("voted", "deploy", []),
        ("charged", "coordinator", [(20, "open")]),
        ("released", "deploy", [(20, "released")]),
        ("student", "coordinator", [(20, "released")]),
    ):
        pauses.at(moment)
        run = federation.deploy("run", "queries=20")
        pauses.wait(run)
        if victim == "deploy":
            run.stop(signal.SIGKILL)  # and the coordinator ends because nobody follows it
        else:
            (pid,) = coordinators(federation)
            os.kill(pid, signal.SIGKILL)
            assert run.process.wait(PATIENCE_S) == 1, run.text()
            assert "nothing is charged twice" in run.text()
        until(lambda: not coordinators(federation), "the coordinator's process is left")
        assert federation.charges("coordinator") == charged, moment
        assert not (federation.folder / "run" / "summary.json").exists()
        for name in HOSPITALS:
            assert federation.charges(name) == [(20, "released")], name
        if moment == "released":
            asked = {name: federation.asked(name, PREDICT) for name in HOSPITALS}
    return asked


def without_its_superlink(federation, pauses, asked):
    """The SuperLink dies while the student trains, which needs no hospital and no SuperLink.

    That run completes what the killed ones left: their labels, their one charge, all files.
    """
    labels = federation.released("coordinator")
    pauses.at("student")
    run = federation.deploy("run", "queries=20")
    pauses.wait(run)
    os.kill(federation.part("coordinator", "superlink"), signal.SIGKILL)
    federation.started[0].wait_for("superlink ended (signal SIGKILL)")
    pauses.over()
    assert run.process.wait(PATIENCE_S) == 0, run.text()
    assert federation.summary("run")["labels"]["from_cache"] == 20
    assert federation.charges("coordinator") == [(20, "released")]
    assert list(federation.labels("run").values()) == labels
    assert {path.name for path in (federation.folder / "run").iterdir()} >= RUN_FILES
    for name in HOSPITALS:
        assert federation.asked(name, PREDICT) == asked[name], name


def asking_too_much(federation):
    """With next to no noise a patient would pay more than the policy of any hospital allows."""
    until(lambda: answers(federation.home), "the SuperLink that was killed starts again")
    run = federation.deploy("weak", "queries=25", "mechanism.noise_scale=0.2", "join_s=200")
    assert run.process.wait(PATIENCE_S) == 3, run.text()
    assert REASONS[Code.POLICY_EPSILON_PATIENT] in run.text()
    assert federation.charges("coordinator") == [(20, "released")]
    for name in HOSPITALS:
        assert federation.decisions(name, TRAIN)[-1] == Code.POLICY_EPSILON_PATIENT
        assert federation.charges(name) == [(20, "released")]
