"""Killed with -9 at any step, or raced by other processes, the ledger loses no charge."""

import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

import ledger_worker
from fedpate.privacy import ledger_check
from ledger_worker import BATCHES, SIZE, opened

REPOSITORY = Path(__file__).resolve().parents[2]
RANDOM_KILLS = 70


class Nursery:
    """Starts workers, each a real process, without importing numpy for each."""

    def __init__(self) -> None:
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, ledger_worker.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def start(self, folder: Path, kill_at=-1, kill_after=None, broken=False) -> None:
        """Start one worker, to die at a step or after some seconds (or never)."""
        paths = {"path": str(folder / "ledger.sqlite"), "printed": str(folder / "printed")}
        order = paths | {"kill_at": kill_at, "kill_after": kill_after, "broken": broken}
        print(json.dumps(order), file=self.process.stdin, flush=True)

    def wait(self) -> int:
        """Exit code, or minus the signal, of the worker that was started last."""
        return int(self.process.stdout.readline())

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


@pytest.fixture
def nurseries():
    both = Nursery(), Nursery()
    yield both
    for nursery in both:
        nursery.close()


def printed_labels(folder: Path) -> dict[str, set[int]]:
    """Every label that anyone has seen, by query; more than one each would be two draws."""
    seen: dict[str, set[int]] = {}
    path = folder / "printed"
    for line in path.read_text().splitlines() if path.exists() else []:
        key, label = line.split(" ")
        seen.setdefault(key, set()).add(int(label))
    return seen


def is_covered(folder: Path) -> bool:
    """Whether the ledger is sound and every label seen was paid for, released and kept."""
    seen = printed_labels(folder)
    if not seen:
        return True
    if not ledger_check.verify(folder / "ledger.sqlite").ok:
        return False
    with opened(folder / "ledger.sqlite") as ledger:
        book = ledger.book()
        paid = {
            charge.query_hash.removeprefix("batch ")
            for id_, (_, charge) in book.charges.items()
            if book.state(id_) == "released"
        }
        same = {key: {label} for key, label in ledger.cached(list(seen)).items()} == seen
    return same and {key.split(".")[0] for key in seen} <= paid


def test_a_kill_before_any_statement_loses_no_charge_and_charges_nothing_twice(tmp_path, nurseries):
    nursery, kills = nurseries[0], 0
    while True:
        folder = tmp_path / str(kills)
        folder.mkdir()
        nursery.start(folder, kill_at=kills + 1)
        if (code := nursery.wait()) == 0:
            break
        assert code == -signal.SIGKILL
        kills += 1
        assert is_covered(folder), f"killed at step {kills}"
        nursery.start(folder)  # the run is resumed
        assert nursery.wait() == 0
        assert is_covered(folder)
        assert len(printed_labels(folder)) == BATCHES * SIZE
        with opened(folder / "ledger.sqlite") as ledger:
            assert ledger.epsilon("patient", 1e-5) == BATCHES * SIZE

    assert kills > 60  # opening, and for each batch the charge, the release and the printing


def test_kills_at_random_moments_of_two_at_once_lose_no_charge(tmp_path, nurseries):
    clock, round_, killed = random.Random(0), 0, 0
    while killed < RANDOM_KILLS:
        folder = tmp_path / str(round_ // 3)  # a ledger is killed over three times
        folder.mkdir(exist_ok=True)
        round_ += 1
        for nursery in nurseries:
            nursery.start(folder, kill_after=10 ** clock.uniform(-3, -0.7))
        codes = [nursery.wait() for nursery in nurseries]
        assert {*codes} <= {0, -signal.SIGKILL}
        killed += codes.count(-signal.SIGKILL)
        assert is_covered(folder)
    assert any(printed_labels(folder) for folder in tmp_path.iterdir())  # kills came in the middle


def test_these_kills_catch_a_coordinator_that_shows_labels_too_early(tmp_path, nurseries):
    def survives(kill_at: int) -> bool:
        folder = tmp_path / str(kill_at)
        folder.mkdir()
        nurseries[0].start(folder, kill_at=kill_at, broken=True)
        nurseries[0].wait()
        return is_covered(folder)

    assert not all(survives(kill_at) for kill_at in range(30, 90))


def test_four_processes_at_once_reach_the_cap_exactly(tmp_path):
    path, cap, workers = tmp_path / "ledger.sqlite", 100, 4
    start = time.time() + 2.5  # so that they also race to create the file
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        arguments = [str(path)] * workers, [float(cap)] * workers, [start] * workers
        accepted = list(pool.map(ledger_worker.spend_until_refused, *arguments))
    assert sum(accepted) == cap
    with opened(path) as ledger:
        assert ledger.epsilon("patient", 1e-5) == cap
        assert len(ledger.book().charges) == cap
    assert ledger_check.verify(path).ok
