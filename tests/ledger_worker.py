"""A process that pays for labels and prints them, to be killed: used by test_ledger_crash.

As a script it is a nursery: each order on stdin (a line of JSON) forks a worker that has everything
imported already; the answer is its exit code, or minus the signal that ended it.
"""

import json
import os
import random
import signal
import sqlite3
import sys
import time
import traceback
from pathlib import Path

import numpy as np

from fedpate.errors import BudgetExceeded
from fedpate.privacy.events import Event, PureDp, repeated
from fedpate.privacy.ledger import PrivacyLedger

BATCHES, SIZE = 2, 3
NO_LIMIT = {"patient": None}


def pure_price(event: Event, delta: float) -> float:
    return sum(count * piece.epsilon for piece, count in event.pieces)


def opened(path: str | Path) -> PrivacyLedger:
    return PrivacyLedger.open(path, "test", price=pure_price)


def spend_until_refused(path: str, cap: float, start: float) -> int:
    """Charge one at a time from the moment `start` on; how many charges were accepted."""
    time.sleep(max(0.0, start - time.time()))
    with opened(path) as ledger:
        for accepted in range(10**6):
            events = {"patient": repeated(PureDp(1.0), 1)}
            time.sleep(random.uniform(0.0, 0.02))  # let the others in: SQLite's lock is not fair
            try:
                ledger.charge("race", "q", 1, events, 1e-5, {"patient": cap})
            except BudgetExceeded:
                return accepted
    raise AssertionError("never refused")


def answer_all(path: str, printed: str, broken: bool, step=lambda *_: None) -> None:
    """Answer every batch as a coordinator would: from the cache, or on a charge of its own.

    Labels are noise, so that an answer that was drawn twice shows. A `broken` one prints too early.
    """
    out = os.open(printed, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    with opened(path) as ledger:
        for batch in range(BATCHES):
            keys = [f"{batch}.{row}" for row in range(SIZE)]
            cached = ledger.cached(keys)
            if len(cached) < SIZE:
                events = {"patient": repeated(PureDp(1.0), SIZE)}
                receipt = ledger.resume(f"batch {batch}", SIZE, events) or ledger.charge(
                    "crash", f"batch {batch}", SIZE, events, 1e-5, NO_LIMIT
                )
                labels = np.frombuffer(os.urandom(2 * SIZE), np.uint16).astype(np.int64)
                if broken:
                    show(out, dict(zip(keys, labels.tolist(), strict=True)), step)
                public = ledger.release(receipt, keys, labels)
                cached = dict(zip(keys, public.tolist(), strict=True))
            show(out, cached, step)
    os.close(out)


def show(out: int, labels: dict[str, int], step) -> None:
    step()
    os.write(out, "".join(f"{key} {label}\n" for key, label in labels.items()).encode())
    step()


def die_at(step: int):
    """A function that kills its process with SIGKILL the `step`-th time it is called."""
    left = [step]

    def called(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return called


def _worker(path: str, printed: str, kill_at: int, broken: bool) -> None:
    step, connect = die_at(kill_at), sqlite3.connect

    def traced(*args, **kwargs) -> sqlite3.Connection:
        db = connect(*args, **kwargs)
        db.set_trace_callback(step)  # called before each SQL statement runs
        return db

    sqlite3.connect = traced
    answer_all(path, printed, broken, step)


def _nursery() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        kill_after = order.pop("kill_after")
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                _worker(**order)
                status = 0
            except BaseException:  # noqa: BLE001 - the test sees the exit code, a person the text
                traceback.print_exc()
            finally:
                os._exit(status)
        if kill_after is not None:
            time.sleep(kill_after)
            os.kill(pid, signal.SIGKILL)  # not waited for yet, so the id is still the worker's
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _nursery()
