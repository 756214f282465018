"""How far a sweep is: on a terminal a row above those of the point that runs, gone at the end.

Points that a launcher runs in other processes are counted as they end. Elsewhere than on a terminal
every point that is done says so in one line on stderr.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from fedpate.commands._display import MOST_BAR, NAMES, Screen, clock
from fedpate.commands._output import complain, stderr
from fedpate.commands._points import Points, Wanted
from fedpate.federation.progress import LogProgress, Progress


class Sweep:
    """The sweep that this process launches, from the moment when Hydra begins it."""

    def __init__(self, console: Console | None = None) -> None:
        self.points: Points | None = None
        self.asked: Sequence[Wanted] = ()
        self._console = console or stderr()
        self._missing: Sequence[Wanted] = ()
        self._rows: RenderableType = ""
        self._start = time.monotonic()

    @property
    def on_terminal(self) -> bool:
        """Whether there is a bar."""
        return self._console.is_terminal

    def begin(self, points: Points, asked: Sequence[Wanted], missing: Sequence[Wanted]) -> None:
        """What the sweeper is about to launch."""
        self.points, self.asked, self._missing = points, asked, missing
        done = len(asked) - len(missing)
        if done:
            complain(f"{done} of {len(asked)} points in {points.folder} are done already")
        self._start = time.monotonic()

    def elsewhere(self, processes: int) -> None:
        """What runs is not to be seen from here."""
        self._rows = Text(f"{processes} points at a time, in other processes", style="dim")

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Inside, the rows are on the terminal."""
        if not self._console.is_terminal:
            yield
            return
        options = {"get_renderable": self.render, "refresh_per_second": 4, "transient": True}
        with Live(console=self._console, **options):  # type: ignore[arg-type]
            yield

    def point(self, overrides: Sequence[str]) -> Progress:
        """The display of a point that begins in this process."""
        if not self._console.is_terminal:
            return LogProgress()
        screen = Screen(self._console)
        self._rows = Group(Text(" ".join(overrides), style="dim", no_wrap=True), screen)
        return screen

    def render(self) -> RenderableType:
        """The sweep's row, then those of the point."""
        if self.points is None:
            return ""
        total, left = len(self.asked), sum(not self.points.has_ended(p) for p in self._missing)
        now = len(self._missing) - left
        elapsed = time.monotonic() - self._start
        told = clock(elapsed) + (f", {clock(elapsed / now * left)} left" if now and left else "")
        row = Table.grid(padding=(0, 1))
        row.add_column(width=NAMES)
        bar = ProgressBar(total=max(total, 1), completed=total - left, width=MOST_BAR, pulse=False)
        row.add_row("points of the sweep", bar, f"{total - left}/{total}", told)
        return Group(row, self._rows)


def tell_point(line: str, sweep: Sweep | None) -> None:
    """Say that a point is done, in whichever process; on a terminal the bar says it.

    Args:
      line: what to say.
      sweep: who shows the bar in this process; its file stands in for stderr meanwhile.
    """
    if not (sys.stderr.isatty() if sweep is None else sweep.on_terminal):
        complain(line)
