"""`fedpate poc`: one command for a real federation, one that ends it, and nothing left behind."""

import csv
import json
import shlex
import stat
import subprocess
import sys

import pytest

from cli_runs import fedpate
from deployments import free_ports
from fedpate.federation.deployment import poc
from fedpate.federation.deployment.example import PUBLIC_RECORDS, deal


@pytest.mark.processes
def test_start_status_and_stop(tmp_path):
    folder = tmp_path / "try-out"
    try:
        command = ["poc", "start", "--hospitals", "2", "--folder", str(folder), "--json"]
        started = subprocess.run(  # a process that ends, so that nobody is a child of the test
            [sys.executable, "-m", "fedpate", *command], capture_output=True, check=False
        )
        assert started.returncode == 0, started.stderr
        shown = json.loads(started.stdout)
        assert shown["running"]
        assert shown["joined"] == {"hospital-1": True, "hospital-2": True}
        assert shown["next"].startswith(f"fedpate deploy {folder}/kits/coordinator data=csv ")

        again = fedpate("poc", "start", "--folder", folder)
        assert again.code == 2
        assert again.err.count("\n") == 1
        assert "a federation is running in" in again.err

        told = fedpate("poc", "status", "--folder", folder)
        assert told.out.count(" joined\n") == 2
        assert told.out.splitlines()[-1].strip() == shown["next"]
        running = poc.status(folder).running()
        assert len(running) >= 3 + 2 * 3  # each side, and the processes that it started

        out = tmp_path / "run"
        typed = [sys.executable, "-m", *shlex.split(shown["next"]), f"hydra.run.dir={out}"]
        run = subprocess.run(typed, capture_output=True, check=False)
        assert run.returncode == 0, run.stderr
        summary = json.loads((out / "summary.json").read_text())
        assert summary["federation"]["engine"] == "deployment"
        assert summary["labels"]["answered"] == summary["labels"]["requested"] == 40
    finally:
        stopped = fedpate("poc", "stop", "--folder", folder)
    assert stopped.out == "stopped; no process is left\n"
    assert poc.status(folder).running() == []
    assert fedpate("poc", "stop", "--folder", folder).out == "nothing was running\n"
    assert "is stopped" in fedpate("poc", "status", "--folder", folder).out
    other = fedpate("poc", "start", "--hospitals", "3", "--folder", folder)
    assert other.code == 2
    assert "--hospitals must be 2 as in" in other.err
    for secret in (folder / "poc.json", *folder.rglob("*.key"), *folder.rglob("*.secret")):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600


@pytest.mark.processes
def test_a_side_that_ends_stops_the_start_and_leaves_no_process(tmp_path, monkeypatch):
    with_one_port = free_ports(1) * 2
    place = (with_one_port[0], "192.0.2.1", free_ports(1)[0])  # an address of no machine
    monkeypatch.setattr(poc, "_ports", lambda: place)
    failed = fedpate("poc", "start", "--hospitals", "1", "--folder", tmp_path / "poc")
    assert failed.code == 1
    assert "coordinator ended: " in failed.err
    assert "coordinator.port must be free on this machine" in failed.err
    assert poc.status(tmp_path / "poc").running() == []


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("start", "--hospitals", "0"), "--hospitals must be a whole number >= 1, got 0"),
        (("start", "--hospitals", "11"), "--hospitals must be <= 10, got 11"),
        (("stop", "--hospitals", "2"), "--hospitals is for `fedpate poc start`, got stop"),
        (("stop",), "--folder must hold what `fedpate poc start` has started"),
        (("status",), "--folder must hold what `fedpate poc start` has started"),
        (("start",), "--folder must be new or empty"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(tmp_path, args, words):
    (tmp_path / "notes.txt").touch()
    refused = fedpate("poc", *args, "--folder", tmp_path)
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert words in refused.err


def test_a_state_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "poc.json").write_text("[]")
    refused = fedpate("poc", "stop", "--folder", tmp_path)
    assert refused.code == 2
    assert "--folder must hold a poc.json of ours" in refused.err


def test_the_example_is_dealt_once_and_whole(tmp_path):
    deal(tmp_path / "data", ["a", "b", "c"])
    rows = {}
    for path in (tmp_path / "data").iterdir():
        with path.open(newline="") as file:
            rows[path.stem] = [tuple(row.values()) for row in csv.DictReader(file)]
    assert len(rows["public"]) == PUBLIC_RECORDS
    everything = [row for part in rows.values() for row in part]
    assert len(everything) == len(set(everything)) == 569
    assert {len(rows[name]) for name in "abc"} == {139, 140}
    assert all({row[-1] for row in part} == {"0", "1"} for part in rows.values())
