"""Several points of a sweep at once: the same results, a killed worker, Ctrl-C, how many."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cli_runs import SMALL, fedpate, table
from fedpate.commands import _launcher
from fedpate.commands._points import Wanted
from fedpate.errors import ConfigError

pytestmark = pytest.mark.usefixtures("workplace")
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def start(*typed: str) -> subprocess.Popen[str]:
    """A sweep in a process, and a process group, of its own."""
    command = [sys.executable, "-m", "fedpate", "simulate", "-m", *SMALL, *typed]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def family(pid: int) -> list[int]:
    """The processes that it started, and those that these started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:  # gone
            continue
        if parent == pid:
            found += [int(path.parent.name), *family(int(path.parent.name))]
    return found


def until(condition, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_results_are_those_of_one_point_at_a_time():
    typed = ("seed=0,1", "mechanism=gnmax,laplace", "mechanism.noise_scale=2,3", "noise_seed=5")
    alone = fedpate(
        "simulate", "-m", *SMALL, *typed, "hydra.sweep.dir=one", "hydra.launcher.jobs=1"
    )
    assert alone.code == 0
    process = start(*typed, "hydra.sweep.dir=two", "hydra.launcher.jobs=2", "store=other")
    told = process.communicate()[1]
    assert process.returncode == 0, told
    assert told.count("patient epsilon") == 8  # a line for each point, whoever ran it
    apart = ("timings.", "settings.store", "bytes.")  # a message holds its run's random number

    def results(folder: str) -> list[dict[str, str]]:
        return [
            {key: value for key, value in row.items() if not key.startswith(apart)}
            for row in table(Path(folder))
        ]

    assert results("two") == results("one")
    for point in range(8):
        labels = [Path(folder, str(point), "labels.csv").read_text() for folder in ("one", "two")]
        assert labels[0] == labels[1]
        assert Path("two", str(point), ".hydra", "overrides.yaml").is_file()
        assert Path("two", str(point), "fedpate.log").is_file()


def test_forked_processes_do_not_draw_the_same_noise():
    deltas = "privacy.delta=1e-5,2e-5,3e-5,4e-5"  # of no influence on votes and noise
    process = start(
        *("queries=80", "mechanism.noise_scale=10000", deltas),
        *("hydra.sweep.dir=s", "hydra.launcher.jobs=2"),
    )
    told = process.communicate()[1]
    assert process.returncode == 0, told
    labels = {path.read_text() for path in Path("s").glob("*/labels.csv")}
    assert len(labels) == 4  # fair coins, 80 for each


@linux
def test_a_point_whose_process_dies_is_a_failed_point():
    # Seconds for each point, so that the process is killed in the middle of one.
    typed = ("seed=range(6)", "student.min_steps=3000", "hydra.sweep.dir=s")
    typed += ("hydra.launcher.jobs=2",)
    process = start(*typed)
    # Another point has just begun in the process that is killed.
    until(lambda: len(list(Path("s").glob(".points/*.json"))) >= 2, process)
    server = next(pid for pid in family(process.pid) if len(family(pid)) == 2)
    os.kill(family(server)[0], signal.SIGKILL)
    told = process.communicate()[1]
    assert process.returncode == 1, told
    assert "its process died: was it out of memory? hydra.launcher.jobs=1 runs" in told
    errors = [row["error"] for row in table(Path("s"))]
    assert len(errors) == 6
    assert sum(bool(error) for error in errors) == 1

    again = fedpate("simulate", "-m", *SMALL, *typed)
    assert again.code == 0
    assert "5 of 6 points" in again.err
    assert [row.get("error", "") for row in table(Path("s"))] == [""] * 6


@linux
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_an_interrupted_sweep_leaves_no_process_and_no_half_a_point(sign):
    typed = ("seed=range(40)", "hydra.sweep.dir=s", "hydra.launcher.jobs=2")
    process = start(*typed)
    until(lambda: len(list(Path("s").glob(".points/*.json"))) >= 2, process)
    processes = family(process.pid)
    assert len(processes) >= 3
    if sign == signal.SIGINT:
        os.killpg(process.pid, sign)  # as a terminal does: to all of them
    else:
        process.terminate()
    told = process.communicate()[1]
    assert process.returncode == 130, told
    assert "Traceback" not in told
    deadline = time.monotonic() + 30
    while any(Path("/proc", str(pid)).exists() for pid in processes):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    done = sorted(path.parent.name for path in Path("s").glob("*/summary.json"))
    assert 2 <= len(done) < 40
    # What was begun and cost nothing yet is gone.
    kept = [path for path in Path("s").glob("[0-9]*") if path.name not in done]
    assert all((path / "ledger.sqlite").is_file() for path in kept)


def test_the_same_settings_in_another_order_are_the_same_points():
    one = ("seed=0,1", "mechanism.noise_scale=2", "hydra.sweep.dir=s")
    assert fedpate("simulate", "-m", *SMALL, "queries=9", "seed=0", *one[1:]).code == 0
    other = ("mechanism.noise_scale=2", "queries=9", "seed=1,0", "hydra.sweep.dir=s")
    done = fedpate("simulate", "-m", *SMALL, *other, "hydra.launcher.jobs=1")
    assert done.code == 0
    Path("s/0/summary.json").unlink()
    again = fedpate("simulate", "-m", *SMALL, *reversed(other), "hydra.launcher.jobs=1")
    assert again.code == 0
    assert "1 of 2 points in" in again.err
    assert [row["seed"] for row in table(Path("s"))] == ["0", "1"]


@pytest.mark.parametrize("jobs", ["0", "two", "1.5"])
def test_an_impossible_number_of_processes_is_refused(jobs):
    refused = fedpate("simulate", "-m", *SMALL, "seed=0,1", f"hydra.launcher.jobs={jobs}")
    assert refused.code == 2
    assert refused.err.splitlines()[-1] == (
        f"fedpate simulate: hydra.launcher.jobs must be a whole number >= 1, got {jobs}"
    )
    assert not list(Path().iterdir())


@pytest.mark.parametrize("wrong", ["sead=0,1", "seed=x,y", "mechanism=gnmax,lapace"])
def test_a_sweep_that_cannot_be_composed_leaves_nothing(wrong):
    refused = fedpate("simulate", "-m", *SMALL, wrong)
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert not list(Path().iterdir())


def points(*settings):
    """Points of these settings, as the sweeper hands them over."""
    common = {
        **dict.fromkeys(_launcher.OF_TEACHERS),
        "engine": "inprocess",
        "device": "cpu",
        "privacy": {"ledger": None},
    }
    return [
        (Wanted(number, str(number), ()), OmegaConf.create({**common, **own}))
        for number, own in enumerate(settings)
    ]


def numbers(some):
    return [wanted.number for wanted, _ in some]


def test_as_many_points_at_once_as_cores_but_one_where_they_would_meet(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    assert _launcher._jobs(None, points({})) == 6
    monkeypatch.setenv("OMP_NUM_THREADS", "60")
    assert _launcher._jobs(None, points({})) == _launcher.MOST
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert 1 <= _launcher._jobs(None, points({})) <= (os.cpu_count() or 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")  # nested, as OpenMP reads it
    assert _launcher.cores() >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", "6")
    for own in ({"device": "cuda"}, {"engine": "flower"}, {"privacy": {"ledger": "of.all"}}):
        assert _launcher._jobs(None, points({}, own)) == 1
        assert _launcher._jobs(3, points({}, own)) == 3  # whoever says so
    for wrong in (0, True, "2", 1.0):
        with pytest.raises(ConfigError, match=r"hydra.launcher.jobs must be a whole number >= 1"):
            _launcher.check(wrong)


def test_the_first_point_of_every_set_of_teachers_comes_first():
    two = points({"seed": 1}, {"seed": 1}, {"seed": 2}, {"seed": 2, "queries": 3}, {"seed": 1})
    here, elsewhere = _launcher._divided(two, 4)  # few sets: each is trained by all cores
    assert (numbers(here), numbers(elsewhere)) == ([0, 2], [1, 3, 4])
    here, elsewhere = _launcher._divided(two, 2)
    assert (numbers(here), numbers(elsewhere)) == ([], [0, 2, 1, 3, 4])
    here, elsewhere = _launcher._divided(two, 1)
    assert (numbers(here), numbers(elsewhere)) == ([0, 1, 2, 3, 4], [])
    here, elsewhere = _launcher._divided(points({"seed": 1}, {"seed": 2}), 4)
    assert (numbers(here), numbers(elsewhere)) == ([], [0, 1])
