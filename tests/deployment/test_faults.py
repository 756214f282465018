"""Hospitals that are killed or hang, as real processes: nothing is lost, nothing paid twice."""

import os
import signal
import sqlite3

import pytest

import small_disks
from faults import PATIENCE_S, Hurt, until
from small_disks import SmallDisk

pytestmark = pytest.mark.processes

TRAIN, PREDICT = "train.teachers", "query.predict"
ENDLESS = "{name: mlp, epochs: 200000, max_steps: 200000, batch_size: 8}"


def hold(path):
    """Somebody who holds a database so that nobody else gets at it, until closed."""
    path.touch(mode=0o600)
    held = sqlite3.connect(path, isolation_level=None)
    held.execute("BEGIN EXCLUSIVE")
    return held


def test_hospitals_that_die_or_hang_lose_nothing_and_are_not_paid_twice(tmp_path):
    """North is killed while it trains, east while it answers; south hangs and answers too late.

    Then all are there again and the same is asked: nothing is trained or paid for a second time.
    Then more is asked while one is away and another's disk is full.
    """
    federation = Hurt(tmp_path, "north", "east", "south")
    disk = None if small_disks.why_not() else SmallDisk(federation.state("south"), 64)
    try:
        coordinator = federation.coordinator()
        for name in ("north", "east", "south"):
            federation.hospital(name)
        coordinator.wait_for(" joined (", times=3)

        run = federation.deploy(
            *("first", "queries=20", "min_hospitals=2", "reply_s=40"),
            f"hospital_overrides={{north: {{teacher: {ENDLESS}}}}}",
        )
        until(lambda: federation.asked("north", TRAIN), "north was not asked to train")
        for name in ("east", "south"):
            until(lambda name=name: federation.decisions(name, TRAIN) == [0], f"{name} trained")
        held = hold(federation.state("east") / "answers.sqlite")
        hanging = federation.part("south", "client_executor")
        os.kill(hanging, signal.SIGSTOP)
        federation.kill("north")
        until(lambda: federation.charges("east"), "east charged nothing")
        federation.kill("east")
        held.close()
        assert run.process.wait(PATIENCE_S) == 3, run.text()
        assert "0 completed 'query.predict'" in run.text()
        assert not (tmp_path / "first").exists()
        assert federation.charges("coordinator") == []
        assert federation.charges("east") == [(20, "released")]
        trained = {name: federation.teachers(name) for name in ("east", "south")}
        assert [len(teachers) for teachers in trained.values()] == [2, 2]

        os.kill(hanging, signal.SIGCONT)  # and its answer comes, to a run that is over
        for name in ("north", "east"):
            federation.hospital(name)
        coordinator.wait_for("north joined", times=2)
        coordinator.wait_for("east joined", times=2)
        run = federation.deploy("second", "queries=20")
        assert run.process.wait(PATIENCE_S) == 0, run.text()
        summary = federation.summary("second")
        assert summary["federation"]["dropped"] == []
        assert summary["federation"]["teachers_present"] == 6
        assert federation.charges("coordinator") == [(20, "released")]
        for name in ("north", "east", "south"):
            assert federation.charges(name) == [(20, "released")], name
        assert {name: federation.teachers(name) for name in trained} == trained
        assert federation.decisions("east", PREDICT) == [0]  # the first was never decided

        more_is_asked_of_those_who_can(federation, disk)
    finally:
        federation.stop()
        if disk is not None:
            disk.unmount()


def more_is_asked_of_those_who_can(federation, disk):
    """East is away and south's disk is full: north answers, and the summary names the others."""
    federation.kill("east")
    if disk is not None:
        disk.fill()
    missing = ["east"] if disk is None else ["east", "south"]
    run = federation.deploy("third", "queries=30", "min_hospitals=1", "reply_s=40")
    assert run.process.wait(PATIENCE_S) == 0, run.text()
    summary = federation.summary("third")
    assert summary["federation"]["dropped"] == missing
    assert summary["federation"]["teachers_present"] == 2 * (3 - len(missing))
    assert summary["labels"]["from_cache"] == 20
    assert federation.charges("coordinator") == [(20, "released"), (10, "released")]
    before, after = federation.labels("second"), federation.labels("third")
    assert {query: after[query] for query in before} == before
    if disk is not None:
        disk.empty()
        assert federation.charges("south") == [(20, "released")]
    assert federation.charges("east") == [(20, "released")]
