"""A pool of a million images: time and memory of a whole run, at both ends.

The coordinator (this process) has a pool of 28x28 grey images in memory, asks hospitals in other
processes about all of them, pays, draws the noise and writes the run directory: `coordinator.run`
with the real ledger and the real messages, which travel through pipes. Every hospital has five
logistic regressions and its real memory of answers on disk. No student is trained: what that takes
is the student's affair.

    python experiments/bench/bench_pool.py                     # 1,000,000 queries, two hospitals
    python experiments/bench/bench_pool.py --queries 100000

Prints a Markdown table; exits with 1 if an end holds more than the pool (coordinator only) and
`LIMIT_MB`.
"""

import argparse
import json
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import ClassVar

import numpy as np
from flwr.app import Message

from fedpate.data.partition import PARTITIONS
from fedpate.data.preprocessing import Preprocessing
from fedpate.data.sources import SOURCES
from fedpate.federation import client_app, coordinator, site
from fedpate.federation.answers import AnswerCache
from fedpate.federation.engines.identity import acting_as_coordinator
from fedpate.federation.engines.local_grid import (
    LocalGrid,
    across_the_wire,
    deliver,
    number,
    received,
)
from fedpate.federation.hospital import Hospital
from fedpate.federation.progress import LogProgress
from fedpate.federation.settings import Run, TrainSettings
from fedpate.federation.side import Side
from fedpate.learning.store import TeacherStore
from fedpate.learning.teachers import TEACHERS
from fedpate.privacy.mechanisms import MECHANISMS
from fedpate.privacy.noise import OsEntropy
from fedpate.records import LabelledData, QueryBatch

CLASSES, TEACHERS_EACH = 10, 5
LIMIT_MB = 1000  # anonymous memory over that before the first message; the pool is in that already


def megabytes(what: str) -> float:
    """`VmHWM` (peak) or `VmRSS` (now) of this process."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) / 1e3


def hospital(index: int, folder: Path, pipe: Connection) -> None:
    """A hospital's process: the real app over synthetic shards, one message after the other."""
    rng = np.random.default_rng(index)
    shards = [
        LabelledData(
            rng.integers(0, 256, (50, 1, 28, 28), np.uint8), np.arange(50) % CLASSES, CLASSES
        )
        for _ in range(TEACHERS_EACH)
    ]
    here = Hospital(
        name=site.simulated_name(index),
        shards=lambda: shards,
        store=TeacherStore(folder / "teachers"),
        folder=folder,
        answers=AnswerCache(folder / "answers.sqlite", durable=False),
        entropy=lambda _: OsEntropy(),
    )
    site.open_hospital = lambda *_: here
    before = megabytes("VmRSS")
    while (work := pipe.recv_bytes()) != b"":
        message, context = received(work)
        pipe.send_bytes(deliver(client_app.app, message, context))
    pipe.send((before, megabytes("VmHWM")))


class PipeGrid(LocalGrid):
    """One process per hospital; what crosses is counted nowhere but in `Members`."""

    def __init__(self, pipes: list[Connection]) -> None:
        super().__init__(len(pipes))
        self._pipes = dict(zip(self.contexts, pipes, strict=True))

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Send each message to its process."""
        ids = []
        for message in messages:
            ids.append(number(message))
            node = message.metadata.dst_node_id
            self._pipes[node].send_bytes(
                across_the_wire((across_the_wire(message), self.contexts[node]))
            )
        return ids

    def pull_messages(self, _: Iterable[str]) -> Iterable[Message]:
        """Whatever has come."""
        ready = wait(list(self._pipes.values()), timeout=1.0)
        return [received(pipe.recv_bytes()) for pipe in ready]


@dataclass(frozen=True)
class NoStudent:
    """Learns nothing."""

    name: ClassVar[str] = "none"

    def fit(self, *_: object, **__: object) -> None:
        """No student."""


def measure(queries: int, hospitals: int, message_mb: float, folder: Path) -> bool:
    """Run once and print; whether both ends kept to the limit."""
    start = multiprocessing.get_context("spawn")
    run = Run(
        data=SOURCES["mnist"](),
        partition=PARTITIONS["iid"](),
        teacher=TEACHERS["sklearn"](model="logistic_regression"),
        mechanism=MECHANISMS["gnmax"](noise_scale=4.0),
        student=NoStudent(),
        hospitals=hospitals,
        teachers_per_hospital=TEACHERS_EACH,
        queries=queries,
        message_mb=message_mb,
        baselines=False,
    )
    with ExitStack() as stack:
        pipes, processes = [], []
        for index in range(hospitals):
            ours, theirs = start.Pipe()
            private = folder / site.simulated_name(index)
            process = start.Process(target=hospital, args=(index, private, theirs))
            process.start()
            stack.callback(process.join)
            pipes.append(ours)
            processes.append(process)
        pool = np.empty((queries, 1, 28, 28), np.uint8)
        rng = np.random.default_rng(0)
        for rows in np.array_split(pool, 100):
            rows[:] = rng.integers(0, 256, rows.shape, np.uint8)
        scale = np.array(255, np.float32)
        side = Side(
            data_name="synthetic",
            n_classes=CLASSES,
            pool=QueryBatch(np.arange(queries, dtype=np.int64), pool),
            test=LabelledData(pool[:0], np.zeros(0, np.int64), CLASSES),
            preprocessing=Preprocessing(None, np.array(0, np.float32), scale),
            settings=TrainSettings(
                run.teacher, TEACHERS_EACH, CLASSES, run.seed, run.device, simulation=None
            ),
            truth=None,
            federation="synthetic",
            hospitals=tuple(site.simulated_name(index) for index in range(hospitals)),
            engine=run.engine,
        )
        before = megabytes("VmRSS")
        began = time.monotonic()
        with acting_as_coordinator(1):
            summary = coordinator.run(run, side, PipeGrid(pipes), folder / "run", LogProgress())
        taken, peak = time.monotonic() - began, megabytes("VmHWM")
        ends = [("coordinator", before, peak)]
        for index, pipe in enumerate(pipes):
            pipe.send_bytes(b"")
            ends.append((site.simulated_name(index), *pipe.recv()))
    print(f"{queries} queries, {hospitals} hospitals, messages of {message_mb:g} MB:")
    print(f"{taken:.0f} s; {json.dumps(summary['timings'])}; {json.dumps(summary['bytes'])}\n")
    print("| end | before the first message | peak | more |")
    print("|---|---:|---:|---:|")
    for name, before, peak in ends:
        print(f"| {name} | {before:.0f} MB | {peak:.0f} MB | {peak - before:.0f} MB |")
    return all(peak - before < LIMIT_MB for _, before, peak in ends)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=1_000_000)
    parser.add_argument("--hospitals", type=int, default=2)
    parser.add_argument("--message-mb", type=float, default=32.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kept = measure(asked.queries, asked.hospitals, asked.message_mb, Path(folder))
    return int(not kept)


if __name__ == "__main__":
    sys.exit(main())
