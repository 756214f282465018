"""`comparison.html`: several runs side by side, in the manner of one run's page.

Only guaranteed epsilons are compared: they do not look at the votes, so a choice between runs by
them gives nothing away. A run without a guarantee is in the table and not in the picture.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from fedpate.errors import ConfigError
from fedpate.report import page, text, words
from fedpate.report.drawing import Axes, element

COMPARISON = "comparison.html"
HEIGHT = 300.0
SHAPES = ("circle", "square", "diamond", "triangle")  # with a colour each: not by colour alone
MOST_ROWS = 400  # a page has to stay small


@dataclass(frozen=True)
class Point:
    """A run with a place in the picture."""

    series: str
    epsilon: float  # guaranteed, per patient
    accuracy: float  # of the student


def write(folders: Sequence[Path], file: Path | None = None) -> Path:
    """Write the comparison of several finished runs; returns where.

    Args:
      folders: run directories.
      file: the page; None for `comparison.html` in the folder that holds them all.

    Raises:
      ConfigError: not all are finished runs, or the page cannot be written.
    """
    if len(folders) > MOST_ROWS:
        raise ConfigError(f"RUN_DIR must be given at most {MOST_ROWS} times, got {len(folders)}")
    together = os.path.commonpath([str(folder.absolute()) for folder in folders])
    target = file or Path(together, COMPARISON)
    runs = [(path, page.read_summary(path)) for path in folders]
    return page.write_page(target, render(runs, target.absolute().parent))


def render(runs: Sequence[tuple[Path, dict[str, Any]]], place: Path) -> str:
    """The page.

    Args:
      runs: (run directory, its summary).
      place: the folder that the page will be in; links to the runs' own pages start there.
    """
    points = [point for _, summary in runs if (point := _point(summary))]
    rows = [
        {
            "name": _name(folder, place),
            "link": f"{_name(folder, place)}/{page.PAGE}",
            "s": summary,
            "v": page.Numbers(summary),
            "mechanism": words.mechanism(summary["mechanism"]),
            "warning": words.warning(summary),
        }
        for folder, summary in runs
    ]
    return page.template("comparison.html").render(
        rows=rows,
        left_out=len(runs) - len(points),
        deltas=sorted({summary["privacy"]["delta"] for _, summary in runs}),
        series=sorted({point.series for point in points}),
        shapes=SHAPES,
        mark=lambda place: Markup(_legend_mark(place)),  # noqa: S704 - made here, of numbers
        picture=Markup(scatter(points)) if points else None,  # noqa: S704 - `drawing` escapes
    )


def scatter(points: Sequence[Point]) -> str:
    """Student accuracy against guaranteed epsilon per patient, on a logarithmic axis."""
    x_low, x_high, x_ticks = _decades([point.epsilon for point in points])
    y_low, y_high, y_ticks = _percents([100 * point.accuracy for point in points])
    axes = Axes(HEIGHT, (x_low, x_high), (y_low, y_high), log_x=True)
    axes.frame(x_ticks, y_ticks, "guaranteed epsilon per patient", "student right, %")
    series = sorted({point.series for point in points})
    for point in points:
        x, y = axes.x(point.epsilon), axes.y(100 * point.accuracy)
        axes.pieces.append(_mark(x, y, series.index(point.series)))
    best = max(points, key=lambda point: point.accuracy)
    told = (
        f"Scatter plot of {len(points)} runs: student accuracy against guaranteed epsilon per "
        f"patient; the most accurate has {text.percent(best.accuracy)} at epsilon "
        f"{text.epsilon(best.epsilon)}"
    )
    return axes.picture(told)


def _point(summary: dict[str, Any]) -> Point | None:
    epsilon = summary["privacy"]["patient"]["guaranteed"]
    accuracy = summary["student"]["accuracy"]
    if words.warning(summary) or accuracy is None or not 0 < epsilon < math.inf:
        return None
    return Point(summary["mechanism"]["name"], epsilon, accuracy)


def _name(folder: Path, place: Path) -> str:
    return Path(os.path.relpath(folder.absolute(), place)).as_posix()


def _decades(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """A range of powers of ten and their halves and fifths around the values, and ticks in it."""
    grid = [factor * 10.0**power for power in range(-12, 13) for factor in (1, 2, 5)]
    low = max(tick for tick in grid if tick <= min(values) * 0.999)
    high = min(tick for tick in grid if tick >= max(values) * 1.001)
    shown = [tick for tick in grid if low <= tick <= high]
    if len(shown) > 8:
        shown = [tick for tick in shown if f"{tick:e}".startswith("1.0")]
    return low, high, shown


def _percents(values: Sequence[float]) -> tuple[float, float, list[float]]:
    """A range of percents around the values, in steps that give few ticks."""
    spread = max(values) - min(values)
    step = next((step for step in (1, 2, 5, 10) if spread <= 5 * step), 20)
    low = max(0, step * math.floor(min(values) / step - 0.2))
    high = min(100, step * math.ceil(max(values) / step + 0.2))
    low = min(low, high - step)
    return float(low), float(high), [float(tick) for tick in range(low, high + 1, step)]


def _mark(x: float, y: float, place: int) -> str:
    shape = SHAPES[place % len(SHAPES)]
    kind = f"s{place % len(SHAPES)}"
    if shape == "circle":
        return element("circle", "", cx=x, cy=y, r=5, cls=kind)
    if shape == "square":
        return element("rect", "", x=x - 4.5, y=y - 4.5, width=9, height=9, cls=kind)
    corners = {"diamond": (0, -6.5, 6, 0, 0, 6.5, -6, 0), "triangle": (0, -6, 6, 5, -6, 5)}[shape]
    moved = [f"{x + a:.2f} {y + b:.2f}" for a, b in zip(corners[::2], corners[1::2], strict=True)]
    return element("path", "", d=f"M{'L'.join(moved)}z", cls=kind)


def _legend_mark(place: int) -> str:
    return f'<svg class="key" viewBox="0 0 16 16" aria-hidden="true">{_mark(8, 8, place)}</svg>'
