"""How far a run is, and what it has spent: told to whoever displays it.

A ServerApp's `main` has a fixed signature, so the display is set for the calling thread with
`showing` and found with `current`. A coordinator in another process writes its events to a file in
its private work folder (`FileProgress`); the process that waits for it replays them (`replay`).
"""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Protocol

log = logging.getLogger(__name__)

STAGES = ("hospitals", "teachers", "queries", "student", "baselines")


class Progress(Protocol):
    """A display of stages; counts only, nothing private."""

    def stage(self, name: str, total: int) -> None:
        """A stage begins; `total` steps are expected."""

    def advance(self, name: str, steps: int = 1) -> None:
        """So many more steps are done."""

    def done(self, name: str) -> None:
        """The stage ends, complete or not."""

    def spent(self, unit: str, epsilon: float, budget: float | None) -> None:
        """What the ledger holds for a privacy unit by now: guaranteed, at the run's delta."""


@contextmanager
def staged(progress: Progress, name: str, total: int) -> Iterator[None]:
    """Inside, the stage runs; it ends also when something fails."""
    progress.stage(name, total)
    try:
        yield
    finally:
        progress.done(name)


class LogProgress:
    """One quiet log line when a stage ends."""

    def __init__(self) -> None:
        self._stages: dict[str, tuple[float, int, int]] = {}  # name -> (start, steps done, total)

    def stage(self, name: str, total: int) -> None:
        """Remember when it began."""
        self._stages[name] = (time.monotonic(), 0, total)

    def advance(self, name: str, steps: int = 1) -> None:
        """Count."""
        start, count, total = self._stages[name]
        self._stages[name] = (start, count + steps, total)

    def done(self, name: str) -> None:
        """Say how much was done and how long it took."""
        start, count, total = self._stages.pop(name)
        log.info("%s: %d of %d in %.1f s", name, count, total, time.monotonic() - start)

    def spent(self, unit: str, epsilon: float, budget: float | None) -> None:
        """Say it once something was spent; the summary has all digits."""
        if epsilon == 0:
            return
        limit = "no budget" if budget is None else f"budget {budget:g}"
        log.info("guaranteed epsilon per %s in the ledger: %.3f, %s", unit, epsilon, limit)


class FileProgress:
    """Appends every event to a file, one JSON line each."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def stage(self, name: str, total: int) -> None:
        """Write it down."""
        self._write(["stage", name, total])

    def advance(self, name: str, steps: int = 1) -> None:
        """Write it down."""
        self._write(["advance", name, steps])

    def done(self, name: str) -> None:
        """Write it down."""
        self._write(["done", name])

    def spent(self, unit: str, epsilon: float, budget: float | None) -> None:
        """Write it down."""
        self._write(["spent", unit, epsilon, budget])

    def _write(self, event: list[str | int | float | None]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


def replay(path: Path, offset: int, progress: Progress) -> int:
    """Show the events after byte `offset` of a `FileProgress` file; returns the new offset."""
    if not path.exists():
        return offset
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):  # being written
                break
            offset += len(line)
            method, *arguments = json.loads(line)
            getattr(progress, method)(*arguments)
    return offset


_shown: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextmanager
def showing(progress: Progress) -> Iterator[None]:
    """Inside, `current()` is this display."""
    token = _shown.set(progress)
    try:
        yield
    finally:
        _shown.reset(token)


def current() -> Progress:
    """The display of this thread; log lines if none was set."""
    return _shown.get() or LogProgress()
