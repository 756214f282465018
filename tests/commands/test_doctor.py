"""`fedpate doctor`: a line for every finding, one thing to do for every problem."""

import importlib.metadata
import json
import socket

import numpy as np
import pytest

from cli_runs import fedpate
from fedpate.commands import _checks


@pytest.fixture
def at_hand(tmp_path, monkeypatch):
    """A folder of one's own to be examined in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "data").mkdir()
    return tmp_path


def problem(check: _checks.Check) -> str:
    assert check.state == _checks.PROBLEM
    assert check.advice
    return check.found


def test_a_machine_that_can_run_fedpate_is_told_so(at_hand):
    shown = fedpate("doctor")
    told = json.loads(fedpate("doctor", "--json").out)
    assert told["ok"] == (shown.code == 0)
    names = [check["name"] for check in told["checks"]]
    lines = shown.out.splitlines()
    assert all(line[9:].startswith(name) for line, name in zip(lines, names, strict=True))
    for name in ("python", "fedpate", "flower", "telemetry", "entropy", "ports", "data", "device"):
        assert name in names
    assert sum(name.startswith("disk") for name in names) == 3
    for check in told["checks"]:
        assert check["state"] in ("ok", "note", "problem")
        assert bool(check["advice"]) or check["state"] == "ok"


def test_a_problem_is_exit_code_1_and_says_what_to_do(at_hand, monkeypatch):
    monkeypatch.setenv("FLWR_TELEMETRY_ENABLED", "1")
    shown = fedpate("doctor")
    assert shown.code == 1
    (line,) = [line for line in shown.out.splitlines() if line.startswith("problem")]
    assert "on: FLWR_TELEMETRY_ENABLED -> unset FLWR_TELEMETRY_ENABLED" in line
    assert fedpate("doctor", "--json").code == 1


def test_a_flower_that_speaks_otherwise_is_noticed(monkeypatch):
    real = importlib.metadata.version
    monkeypatch.setattr(
        importlib.metadata, "version", lambda name: "1.42.0" if name == "flwr" else real(name)
    )
    (found,) = [check for check in _checks.requirements() if check.name == "flower"]
    assert problem(found).startswith("1.42.0, needed flwr<1.42,>=1.41")
    assert found.advice == "pip install 'flwr<1.42,>=1.41'"


def test_a_package_that_is_missing_is_noticed(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["flwr>=1", "no-such-package>=2"])
    found = {check.name: check for check in _checks.requirements()}
    assert problem(found["no-such-package"]) == "not installed, needed no-such-package>=2"
    assert "1 of 2 needed packages" in found["fedpate"].found


def test_extras_are_told_apart(monkeypatch):
    monkeypatch.setattr(
        importlib.metadata,
        "requires",
        lambda _: ["numpy", "numpy; extra == 'here'", "no-such-package; extra == 'away'"],
    )
    monkeypatch.setattr(
        importlib.metadata,
        "metadata",
        lambda _: type("Metadata", (), {"get_all": lambda *_: ["here", "away"]})(),
    )
    found = _checks.extras()
    assert found.found == "installed: here; not installed: away"
    assert found.advice == "if wanted: pip install 'fedpate[away]'"


@pytest.mark.parametrize(
    "words",
    [
        lambda n: np.full(n, 7, np.uint64),
        lambda n: np.arange(n, dtype=np.uint64),
        lambda n: np.random.default_rng(0).integers(0, 2**63, n, dtype=np.uint64),  # a bit stuck
    ],
    ids=["constant", "counter", "a stuck bit"],
)
def test_random_numbers_that_are_not_random_are_noticed(monkeypatch, words):
    from fedpate.privacy import noise

    assert _checks.entropy().state == _checks.OK
    monkeypatch.setattr(noise.OsEntropy, "words", lambda self, n: words(n))
    problem(_checks.entropy())


def test_a_full_disk_and_one_that_cannot_be_written_are_noticed(at_hand, monkeypatch):
    assert {check.state for check in _checks.disk()} <= {_checks.OK, _checks.PROBLEM}
    full = type("Usage", (), {"free": 10**8})()
    monkeypatch.setattr(_checks.shutil, "disk_usage", lambda _: full)
    assert all("0.1 GB free" in problem(check) for check in _checks.disk())
    monkeypatch.setattr(_checks.os, "access", lambda *_: False)
    assert all("cannot be written" in problem(check) for check in _checks.disk())


def test_ports_in_use_are_noted(monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(_checks, "COORDINATOR_PORTS", (port,))
        (found,) = _checks.ports()
        assert (found.state, found.found) == (_checks.NOTE, f"in use: {port}")
    monkeypatch.setattr(_checks, "_free", lambda _: False)
    problem(next(_checks.ports()))


def test_the_data_folder_is_listed_or_missed(at_hand):
    (at_hand / "data" / "mnist").mkdir()
    assert _checks.data(at_hand / "data").found.endswith("has mnist")
    assert _checks.data(at_hand / "none").state == _checks.NOTE
