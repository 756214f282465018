"""How far a run is and what it has spent, on a terminal: a few rows on stderr, gone at the end.

One row for the run, one for each stage within it, and a gauge of the budget per privacy unit.
Colour says nothing that the characters do not say.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import Progress, ProgressColumn, Task, TaskID
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fedpate.commands._output import stderr
from fedpate.federation.progress import STAGES, LogProgress
from fedpate.federation.progress import Progress as Stages
from fedpate.report import text

WORDS = {
    "hospitals": "hospitals ready",
    "teachers": "teachers trained",
    "queries": "queries answered",
    "student": "student trained",
    "baselines": "baselines trained",
}
RUN = "run"
NAMES = 20  # columns of the longest name, "epsilon per hospital"
FIGURES = 31  # columns that the other cells of a row may take
MOST_BAR, LEAST_BAR = 40, 6
NEARLY = 0.8  # of the budget: the gauge changes its colour


class Screen:
    """Every stage has a row from the beginning; one that ended shows how long it took."""

    def __init__(self, console: Console) -> None:
        self._width = max(LEAST_BAR, min(MOST_BAR, console.width - NAMES - FIGURES))
        columns = (_Name(), _Bar(self._width), _Count(), _Times())
        self._rows = Progress(*columns, console=console, auto_refresh=False)
        self._tasks = {RUN: self._rows.add_task(RUN, total=len(STAGES))}
        self._tasks |= {name: self._new_row(name) for name in STAGES}
        self._spent: dict[str, tuple[float, float | None]] = {}

    def stage(self, name: str, total: int) -> None:
        """Its row begins to move; a stage that comes again begins again."""
        if name not in self._tasks:
            self._tasks[name] = self._new_row(name)
        self._rows.reset(self._tasks[name], total=total, started=False)
        self._rows.start_task(self._tasks[name])

    def advance(self, name: str, steps: int = 1) -> None:
        """Move it."""
        self._rows.advance(self._tasks[name], steps)

    def done(self, name: str) -> None:
        """Stop its clock."""
        self._rows.stop_task(self._tasks[name])
        tasks = [task for task in self._rows.tasks if task.description != RUN]
        ended = sum(task.stop_time is not None for task in tasks)
        self._rows.update(self._tasks[RUN], total=len(tasks), completed=ended)

    def spent(self, unit: str, epsilon: float, budget: float | None) -> None:
        """Set the unit's gauge."""
        self._spent[unit] = epsilon, budget

    def __rich__(self) -> RenderableType:
        """All rows, as they are now."""
        return self.render()

    def render(self) -> RenderableType:
        """All rows, as they are now."""
        gauges = Table.grid(padding=(0, 1))
        gauges.add_column(width=NAMES)
        for unit, (epsilon, budget) in self._spent.items():
            name = f"epsilon per {unit}"
            if budget is None:
                gauges.add_row(name, "", f"{text.epsilon(epsilon)}, no budget")
            else:
                told = f"{text.epsilon(epsilon)} of {budget:g}"
                gauges.add_row(name, _gauge(epsilon, budget, self._width), told)
        return Group(self._rows, gauges)

    def _new_row(self, name: str) -> TaskID:
        return self._rows.add_task(f"  {WORDS.get(name, name)}", total=None, start=False)


def _gauge(epsilon: float, budget: float, width: int) -> RenderableType:
    style = "yellow" if epsilon > NEARLY * budget else "cyan"
    return ProgressBar(
        total=budget or 1.0,
        completed=min(epsilon, budget),
        width=width,
        complete_style=style,
        finished_style="red",
    )


class _Name(ProgressColumn):
    def render(self, task: Task) -> RenderableType:
        return Text(f"{task.description:<{NAMES}}", style="" if task.started else "dim")


class _Bar(ProgressColumn):
    """Empty before its stage begins."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width

    def render(self, task: Task) -> RenderableType:
        if task.total is None:
            return Text(" " * self._width)
        return ProgressBar(
            total=max(task.total, 1), completed=task.completed, width=self._width, pulse=False
        )


class _Count(ProgressColumn):
    def render(self, task: Task) -> RenderableType:
        if task.total is None:
            return Text("")
        return Text(f"{task.completed:.0f}/{task.total:.0f}", justify="right")


class _Times(ProgressColumn):
    """Elapsed, and what is left of a stage that is running."""

    max_refresh = 0.5

    def render(self, task: Task) -> RenderableType:
        if task.elapsed is None:
            return Text("")
        told = clock(task.elapsed)
        if task.stop_time is None and task.description != RUN and task.time_remaining:
            told += f", {clock(task.time_remaining)} left"
        return Text(told)


def clock(seconds: float) -> str:
    """Minutes and seconds, with hours where there are any."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@contextmanager
def display() -> Iterator[Stages]:
    """Rows on a terminal, quiet log lines elsewhere; the rows go when the run ends."""
    console = stderr()
    if not console.is_terminal:
        yield LogProgress()
        return
    screen = Screen(console)
    with Live(console=console, get_renderable=screen.render, refresh_per_second=8, transient=True):
        yield screen
