"""One run, every engine: the same votes, labels and price, on real data and from empty stores."""

import json
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import federation_worker
from federated import small_run
from fedpate.data.partition import PARTITIONS
from fedpate.data.sources import SOURCES
from fedpate.federation.engines import processes, simulate
from fedpate.learning.teachers import TEACHERS
from fedpate.privacy.mechanisms import MECHANISMS


def parity_run(tmp_path: Path, **changes):
    """Ten hospitals with unlike shares of the digits, so that teachers disagree."""
    settings = {
        "data": SOURCES["digits"](),
        "partition": PARTITIONS["dirichlet"](alpha=0.3),
        "teacher": TEACHERS["mlp"](hidden=(16,), min_steps=30, max_steps=60),
        "hospitals": 10,
        "queries": 60,
        "message_mb": 0.0016,  # 25 images: three batches
    }
    return small_run(tmp_path, **{**settings, **changes})


def outcome(run, folder):
    """Everything that must not depend on the engine."""
    simulate(replace(run, store=str(folder / "store")), folder / "out")
    summary = json.loads((folder / "out" / "summary.json").read_text())
    with np.load(folder / "out" / "votes.npz") as votes:
        arrays = (votes["query_ids"].tolist(), votes["counts"].tolist())
    same = {
        key: summary[key]
        for key in ("data", "mechanism", "labels", "privacy", "student", "baselines")
    }
    labels = (folder / "out" / "labels.csv").read_text()
    from_hospitals = summary["bytes"]["from_hospitals"]
    return {"votes": arrays, "labels": labels, "summary": same, "bytes": from_hospitals}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """What the in-process engine gives."""
    folder = tmp_path_factory.mktemp("inprocess")
    found = outcome(parity_run(folder), folder)
    counts = np.array(found["votes"][1])
    assert (counts.max(axis=1) < 20).mean() > 0.5  # the teachers do disagree
    return found


@pytest.fixture
def ours(monkeypatch):
    """The processes that this test has started, and all that those have."""
    mark = processes.new_mark()
    monkeypatch.setenv("FEDPATE_TEST", mark)

    def find():
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark.encode() in path.read_bytes():
                    found.append(path.parent.name)
            except OSError:
                continue
        return found

    return find


def test_the_pool_gives_the_same(reference, tmp_path):
    assert outcome(parity_run(tmp_path, engine="pool"), tmp_path) == reference


def test_flowers_simulation_runtime_gives_the_same_and_leaves_nothing(
    reference, tmp_path, monkeypatch, ours
):
    temporary, home = tmp_path / "t", tmp_path / "home"
    temporary.mkdir()
    home.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    monkeypatch.setenv("HOME", str(home))
    assert outcome(parity_run(tmp_path, engine="flower"), tmp_path) == reference
    assert not list(temporary.iterdir())
    assert not ours()
    assert not list(home.iterdir())


def test_local_noise_follows_the_hospitals_name(tmp_path):
    laplace = MECHANISMS["laplace"](noise_scale=5.0)
    run = parity_run(tmp_path, trust="local", mechanism=laplace)
    first = outcome(run, tmp_path / "first")
    assert outcome(run, tmp_path / "again") == first
    assert outcome(replace(run, engine="pool"), tmp_path / "pool") == first


def test_an_interrupted_flower_run_leaves_nothing(tmp_path, ours):
    out = tmp_path / "out"
    worker = federation_worker.start(parity_run(tmp_path, engine="flower"), out, "submitted")
    assert len(ours()) > 1
    worker.send_signal(signal.SIGINT)
    _, errors = worker.communicate(timeout=60)
    assert b"KeyboardInterrupt" in errors
    assert not ours()
    assert not out.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("fedpate-")]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nobody ends an orphan")
def test_a_killed_flower_run_leaves_no_process(tmp_path, ours):
    run = parity_run(tmp_path, engine="flower")
    worker = federation_worker.start(run, tmp_path / "out", "submitted")
    worker.kill()
    worker.communicate()
    deadline = time.monotonic() + 60
    while ours():
        assert time.monotonic() < deadline
        time.sleep(0.5)
