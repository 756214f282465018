"""How far a run is, on a terminal: one line per stage, on stderr."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from fedpate.commands._output import stderr
from fedpate.federation.progress import LogProgress
from fedpate.federation.progress import Progress as Stages

WORDS = {
    "hospitals": "hospitals ready",
    "teachers": "teachers trained",
    "queries": "queries answered",
    "student": "student trained",
    "baselines": "baselines trained",
}


class Bars:
    """Each stage is a bar; ended stages stay and show how long they took."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def stage(self, name: str, total: int) -> None:
        """A new bar."""
        self._tasks[name] = self._progress.add_task(WORDS.get(name, name), total=total)

    def advance(self, name: str, steps: int = 1) -> None:
        """Move it."""
        self._progress.advance(self._tasks[name], steps)

    def done(self, name: str) -> None:
        """Stop its clock."""
        self._progress.stop_task(self._tasks[name])


@contextmanager
def display() -> Iterator[Stages]:
    """Bars on a terminal, quiet log lines elsewhere; bars go when the run ends."""
    console = stderr()
    if not console.is_terminal:
        yield LogProgress()
        return
    columns = (
        TextColumn("{task.description:>18}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield Bars(progress)
