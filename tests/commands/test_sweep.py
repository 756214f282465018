"""Sweeps: resumed after kill -9, in parallel, compared; no point is run twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli_runs import SMALL, fedpate, table
from fedpate.commands import _points
from fedpate.commands._points import Ended, Points, unfinished
from fedpate.errors import ConfigError

pytestmark = pytest.mark.usefixtures("workplace")


def summaries(folder: Path) -> dict[str, int]:
    """When each point's summary was written."""
    return {path.parent.name: path.stat().st_mtime_ns for path in folder.glob("*/summary.json")}


def test_after_kill_9_the_same_command_runs_only_what_is_missing(workplace):
    typed = ("simulate", "-m", *SMALL, "seed=range(4)", "mechanism.noise_scale=2,3")
    process = subprocess.Popen(
        [sys.executable, "-m", "fedpate", *typed], stderr=subprocess.PIPE, start_new_session=True
    )
    deadline = time.monotonic() + 240
    while not list(workplace.glob("multirun/*/*/.points/1.json")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    (folder,) = workplace.glob("multirun/*/*")
    before = summaries(folder)
    assert 2 <= len(before) < 8

    done = fedpate(*typed)
    assert done.code == 0
    assert f"of 8 points in {folder.relative_to(workplace)} are done already" in done.err
    assert list(workplace.glob("multirun/*/*")) == [folder]
    after = summaries(folder)
    assert len(after) == 8
    assert {name: after[name] for name in before} == before
    rows = table(folder)
    assert [row["point"] for row in rows] == [str(number) for number in range(8)]
    assert {(row["seed"], row["mechanism.noise_scale"]) for row in rows} == {
        (str(seed), noise) for seed in range(4) for noise in ("2.0", "3.0")
    }
    # Each run paid for its own labels once.
    assert {row["labels.asked"] for row in rows} == {"10"}

    # Finished: the same command is a new sweep, with new noise.
    assert unfinished(workplace / "multirun", 2, _points.command(typed[2:])) is None


def test_a_sweep_grows_in_its_directory_and_a_failed_point_is_tried_again(workplace):
    first = fedpate("simulate", "-m", *SMALL, "seed=0", "queries=10,1000", "hydra.sweep.dir=s")
    assert first.code == 2
    assert "1 failed" in first.out
    rows = table(workplace / "s")
    assert [row["error"][:7] for row in rows] == ["", "queries"]
    before = summaries(workplace / "s")

    more = fedpate(
        "simulate", "-m", *SMALL, "seed=1,0", "queries=10", "hydra.sweep.dir=s", "--json"
    )
    assert more.code == 0
    assert [run["seed"] for run in json.loads(more.out)] == [0, 1]
    after = summaries(workplace / "s")
    assert after["0"] == before["0"]
    assert set(after) == {"0", "2"}  # 1 is the failed point's number

    again = fedpate("compare", "s", "--json")
    assert again.code == 0
    (group,) = json.loads(again.out)
    assert group["runs"] == 2
    assert sorted(path.name for path in Path("s").glob("*.svg")) == [
        "labels.svg",
        "pareto.svg",
        "student.svg",
    ]
    both = fedpate("compare", "s/0", "s/2", "--out", "here")
    assert both.code == 0
    assert Path("here/sweep.csv").is_file()
    nothing = fedpate("compare", ".points")
    assert nothing.code == 2
    assert "DIR must be a directory with finished runs" in nothing.err


def test_a_bug_in_one_point_stops_no_other(monkeypatch):
    from fedpate.federation import engines

    simulate = engines.simulate

    def fragile(run, folder, progress):
        if run.seed == 0:
            raise KeyError("a patient's value")
        simulate(run, folder, progress)

    monkeypatch.setattr(engines, "simulate", fragile)
    done = fedpate(
        *("simulate", "-m", *SMALL, "seed=0,1", "hydra.sweep.dir=s", "hydra.launcher.jobs=1")
    )
    assert done.code == 1
    assert "seed=0: a bug: KeyError" in done.err.splitlines()[-1]
    assert "patient's value" not in Path("s/sweep.csv").read_text()
    assert "Traceback" in Path("s/0/fedpate.log").read_text()
    assert Path("s/1/summary.json").is_file()


def test_a_sweep_of_failures_alone_says_so_and_has_no_pictures():
    done = fedpate("simulate", "-m", *SMALL, "queries=100001,100000", "hydra.sweep.dir=s")
    assert done.code == 2
    assert "2 failed" in done.out
    assert [row["settings.queries"] for row in table(Path("s"))] == ["100001", "100000"]
    assert not list(Path("s").glob("*.svg"))
    both = fedpate("simulate", "-m", "--cfg", "job", "seed=0,1")
    assert both.code == 2
    assert both.err.startswith("fedpate simulate: Only one of")


@pytest.mark.parametrize(
    ("launcher", "seeds"),
    [(("joblib", "hydra.launcher.n_jobs=2"), "0,1"), (("submitit_local",), "0")],
    ids=["joblib", "submitit"],
)
def test_points_run_in_other_processes(launcher, seeds):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    typed = [*SMALL, f"seed={seeds}", *("hydra/launcher=" + launcher[0], *launcher[1:])]
    command = [sys.executable, "-m", "fedpate", "simulate", "-m", *typed, "hydra.sweep.dir=s"]
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [run["seed"] for run in json.loads(done.stdout)] == [int(s) for s in seeds.split(",")]


def test_options_with_equal_settings_are_different_points():
    typed = ("mechanism=gnmax,laplace,gumbel", "mechanism.noise_scale=5", "hydra.sweep.dir=s")
    done = fedpate("simulate", "-m", *SMALL, *typed, "--json")
    assert done.code == 0
    mechanisms = ["gnmax", "laplace", "gumbel"]
    assert [run["mechanism"]["name"] for run in json.loads(done.out)] == mechanisms
    again = fedpate("simulate", "-m", *SMALL, *typed)
    assert "3 of 3 points in" in again.err


def test_two_sweeps_in_one_directory_at_once_are_refused(workplace):
    points = Points(workplace)
    with points.locked():
        assert points.busy()
        refused = fedpate("simulate", "-m", *SMALL, "seed=0,1", f"hydra.sweep.dir={workplace}")
        assert refused.code == 2
        assert refused.err.startswith(
            "fedpate simulate: hydra.sweep.dir must not be in use by another sweep, got"
        )
        with pytest.raises(ConfigError, match="in use by another sweep"), points.locked():
            pass
    assert not points.busy()


def test_a_number_belongs_to_one_configuration_for_good(workplace):
    points = Points(workplace)
    first = points.plan("x", [("a", ["seed=0"]), ("b", ["seed=1"]), ("a", ["seed=0"])])
    assert [(point.number, point.config) for point in first] == [(0, "a"), (1, "b")]
    (workplace / "1").mkdir()
    points.record(Ended(1, "b", ("seed=1",), "1"))
    assert [point.config for point in points.missing(first)] == ["a", "b"]  # b has no summary
    (workplace / "1" / "summary.json").touch()
    assert [point.config for point in points.missing(first)] == ["a"]
    second = points.plan("y", [("c", ["seed=2"]), ("b", ["seed=1"])])
    assert [(point.number, point.config) for point in second] == [(2, "c"), (1, "b")]
    assert [point.config for point in points.wanted()] == ["a", "b", "c"]
    points.record(Ended(2, "c", ("seed=2",), "2", "refused", 2))
    assert [point.config for point in points.missing(second)] == ["c"]
    assert unfinished(workplace.parent, 1, "y") == workplace
    assert unfinished(workplace.parent, 1, "x") is None
