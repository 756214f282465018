"""A sweep on the terminal: one row per group of runs that differ in their seeds only."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group as Stack
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from fedpate.report import sweep, text, words
from fedpate.report.sweep import EPSILON, LABELS, STUDENT, Group, Number


def table(groups: Sequence[Group], failed: int) -> RenderableType:
    """Settings that vary, accuracies as mean and deviation, prices, and who is on the front."""
    rows = Table(box=box.SIMPLE_HEAD)
    for key in groups[0].settings if groups else ():
        rows.add_column(_heading(key), overflow="fold")
    for column in (
        "runs",
        "labels\nright",
        "student\nright",
        "patient\nepsilon",
        "hospital\nepsilon",
    ):
        rows.add_column(column, justify="right")
    rows.add_column("")
    best = sweep.front(groups) if len(groups) > 1 else []
    for group in groups:
        cells = [_spread(group.number(key)) for key in (LABELS, STUDENT)]
        cells += [text.epsilon(group.number(key).mean) for key in EPSILON.values()]
        note = ("on the front" if group in best else "") if group.guarantee else "no guarantee"
        rows.add_row(*group.settings.values(), str(len(group.rows)), *cells, note)
    parts: list[RenderableType] = [rows] if groups else []
    parts += dict.fromkeys(_relation(row.values) for group in groups for row in group.rows)
    if failed:
        parts.append(Text(f"{failed} failed", style="bold red"))
    return Stack(*parts)


def front(
    points: Sequence[Mapping[str, Any]], kind: str, deltas: Sequence[float]
) -> RenderableType:
    """What a search found: `settings`, `student`, `epsilon` and `run` of each point."""
    rows = Table(box=box.SIMPLE_HEAD)
    keys = list(dict.fromkeys(key for point in points for key in point["settings"]))
    for key in keys:
        rows.add_column(_heading(key), overflow="fold")
    rows.add_column("student\nright", justify="right")
    rows.add_column(f"patient\nepsilon, {kind}", justify="right")
    rows.add_column("run")
    for point in points:
        cells = [_setting(point["settings"].get(key)) for key in keys]
        told = text.percent(point["student"]), text.epsilon(point["epsilon"])
        rows.add_row(*cells, *told, point["run"])
    told_deltas = ", ".join(f"{delta:g}" for delta in deltas)
    return Stack(rows, f"no trial beats these in both; delta {told_deltas}, replace-one")


def _heading(key: str) -> str:
    """A setting's name in two lines, to be narrow."""
    group, dot, name = key.rpartition(".")
    return f"{group}{dot}\n{name}" if dot else key


def _setting(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _spread(number: Number) -> str:
    bars = "" if number.deviation is None else f" ± {100 * number.deviation:.1f}"
    return f"{text.percent(number.mean)}{bars}"


def _relation(values: Mapping[str, Any]) -> str:
    told = words.relation({key: values[f"privacy.{key}"] for key in ("delta", "relation")})
    return f"guaranteed epsilons, {told}"
