"""Pictures of a sweep: accuracy against guaranteed epsilon, and the points that nothing beats."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, StrMethodFormatter

from fedpate.report import plots, sweep
from fedpate.report.sweep import EPSILON, LABELS, STUDENT, Group

MOST_TICKS = 8
MARKERS = "osD^vP*X<>"


def pictures(groups: Sequence[Group]) -> dict[str, str]:
    """File name -> SVG, the same bytes every time; none where no run has an epsilon."""
    if not any(_place(group, STUDENT) or _place(group, LABELS) for group in groups):
        return {}
    return {
        "student.svg": _against_epsilon(groups, STUDENT, "student's accuracy, %"),
        "labels.svg": _against_epsilon(groups, LABELS, "released labels that are right, %"),
        "pareto.svg": _front(groups),
    }


def _against_epsilon(groups: Sequence[Group], key: str, what: str) -> str:
    """A line for each curve; bars are one standard deviation over the runs of a point."""
    with plots.plain():
        figure, axes = _axes(groups, what)
        for place, (name, members) in enumerate(sweep.curves(groups).items()):
            style: dict[str, Any] = {"color": f"C{place % 10}", "label": name}
            points = [found for group in members if (found := _place(group, key))]
            if points:
                x, y, bars = zip(*points, strict=True)
                marker = MARKERS[place % len(MARKERS)]
                axes.errorbar(x, y, yerr=bars, marker=marker, capsize=3, **style)
            for group in members:  # no noise, so no place on the axis
                if math.isinf(group.number(EPSILON["patient"]).mean or 0.0):
                    axes.axhline(100 * (group.number(key).mean or 0.0), linestyle=":", **style)
        axes.legend(fontsize=9)
        return plots.standalone(figure)


def _front(groups: Sequence[Group]) -> str:
    """All points, and the front as a staircase: for this accuracy, no less epsilon was seen."""
    with plots.plain():
        figure, axes = _axes(groups, "student's accuracy, %")
        for place, (name, members) in enumerate(sweep.curves(groups).items()):
            points = [found for group in members if (found := _place(group, STUDENT))]
            if points:
                x, y, _ = zip(*points, strict=True)
                color, marker = f"C{place % 10}", MARKERS[place % len(MARKERS)]
                axes.plot(x, y, linestyle="", marker=marker, color=color, label=name)
        best = [found for group in sweep.front(groups) if (found := _place(group, STUDENT))]
        if best:
            x, y, _ = zip(*best, strict=True)
            label = "Pareto front"
            axes.step(x, y, where="post", color="black", linewidth=1, label=label, zorder=1)
        axes.legend(fontsize=9)
        return plots.standalone(figure)


def _axes(groups: Sequence[Group], what: str) -> tuple[Figure, Any]:
    deltas = sorted({row.values["privacy.delta"] for group in groups for row in group.rows})
    told = ", ".join(f"{delta:g}" for delta in deltas)
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xscale("log")
    told_ticks = {f"{found[0]:.2g}" for group in groups if (found := _place(group, STUDENT))}
    if 0 < len(told_ticks) <= MOST_TICKS:
        axes.set_xticks(sorted(map(float, told_ticks)), sorted(told_ticks, key=float))
    else:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.minorticks_off()
    axes.set_xlabel(f"guaranteed epsilon per patient, delta {told} (smaller = more private)")
    axes.set_ylabel(what)
    axes.grid(visible=True, alpha=0.3)
    if not all(group.guarantee for group in groups):
        axes.set_title("some runs have no guarantee: seeded noise, or none", fontsize=9)
    return figure, axes


def _place(group: Group, key: str) -> tuple[float, float, float] | None:
    """(epsilon, percent, deviation) of a group; None where it has no finite place."""
    epsilon, value = group.number(EPSILON["patient"]).mean, group.number(key)
    if epsilon is None or not 0 < epsilon < math.inf or value.mean is None:
        return None
    return epsilon, 100 * value.mean, 100 * (value.deviation or 0.0)
