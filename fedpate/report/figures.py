"""Pictures for a notebook, a paper or a slide: matplotlib figures with plain colours."""

import math
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedpate.report import plots, text, words

OURS, OTHERS = "#1f6f8b", "#b8c4cc"
UNITS = ("patient", "hospital")


class Picture(Figure):
    """A figure that a notebook shows by itself, without pyplot."""

    def _repr_svg_(self) -> str:
        with mpl.rc_context({"svg.fonttype": "none"}):  # text stays text
            return plots.standalone(self)


def run(summary: Mapping[str, Any]) -> Figure:
    """Accuracies against the baselines, and the price per privacy unit.

    Args:
      summary: schema 1.
    """
    figure = Picture(figsize=(9.0, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    _accuracy(left, summary)
    _price(right, summary)
    figure.suptitle(words.title(summary))
    if warning := words.warning(summary):
        figure.supxlabel(warning, color="firebrick")
    return figure


def _accuracy(axes: Axes, summary: Mapping[str, Any]) -> None:
    rows = [row for row in words.accuracies(summary) if row.accuracy is not None][::-1]
    values = [row.accuracy or 0.0 for row in rows]
    colors = [OURS if row.ours else OTHERS for row in rows]
    bars = axes.barh([row.name for row in rows], values, color=colors)
    axes.bar_label(bars, [text.percent(value) for value in values], padding=3)
    axes.set_xlim(0, 1.2)
    axes.set_xticks([])
    axes.set_title("accuracy")
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def _price(axes: Axes, summary: Mapping[str, Any]) -> None:
    privacy = summary["privacy"]
    prices = [privacy[unit]["guaranteed"] for unit in UNITS]
    finite = [price if math.isfinite(price) else 0.0 for price in prices]
    bars = axes.bar([f"per {unit}" for unit in UNITS], finite, color=OURS)
    axes.bar_label(bars, [text.epsilon(price) for price in prices], padding=2)
    axes.set_ylim(0, 1.15 * max(*finite, 1.0))
    axes.set_title(f"guaranteed epsilon, delta {privacy['delta']:g}")
    axes.spines[["top", "right"]].set_visible(False)
