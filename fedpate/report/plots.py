"""Pictures for the page: inline SVG that follows the page's colours, the same bytes every time."""

import io
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

from fedpate.report import text
from fedpate.report.words import Accuracy

if TYPE_CHECKING:
    from fedpate.privacy.account import Curves

# Colours that cannot occur otherwise stand for the page's own, which differ in the dark.
_INK, _ACCENT, _FAINT = "#010203", "#010204", "#010205"
_CSS = {_INK: "currentColor", _ACCENT: "var(--accent)", _FAINT: "var(--faint)"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: readable by a screen reader, and small
    "svg.hashsalt": "fedpate",
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
}


# A file of its own has no page to take colours from.
_PLAIN: dict[Any, Any] = {key: "black" for key, value in _STYLE.items() if value == _INK}


def accuracy_bars(rows: Sequence[Accuracy], description: str) -> str:
    """Horizontal bars, the run's own results in the accent colour.

    Args:
      rows: from `words.accuracies`; those without a number are left out.
      description: what a screen reader says.
    """
    shown = [row for row in rows if row.accuracy is not None][::-1]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(5.0, 0.4 + 0.33 * len(shown)), layout="constrained")
        axes = figure.add_subplot()
        values = [row.accuracy or 0.0 for row in shown]
        colors = [_ACCENT if row.ours else _FAINT for row in shown]
        axes.barh([row.name for row in shown], values, color=colors, height=0.7)
        for place, value in enumerate(values):
            axes.text(value + 0.01, place, text.percent(value), va="center")
        axes.set_xlim(0, 1.13)
        axes.xaxis.set_visible(False)
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        return svg(figure, description)


def frontier(plan: Mapping[str, Any]) -> str:
    """Expected label accuracy against the guaranteed epsilon of a plan, as an SVG file."""
    rows, unit = plan["frontier"]["rows"], plan["frontier"]["unit"]
    with mpl.rc_context({**_STYLE, **_PLAIN}):
        figure = Figure(figsize=(6.0, 3.6), layout="constrained")
        axes = figure.add_subplot()
        epsilons = [row["epsilon"][unit] for row in rows]
        axes.semilogx(epsilons, [100 * row["label_accuracy"] for row in rows], marker="o")
        axes.axhline(100 * plan["label_accuracy_without_noise"], linestyle=":", color="grey")
        axes.set_xlabel(f"guaranteed epsilon per {unit}, delta {plan['delta']:g}")
        axes.set_ylabel("expected label accuracy, %")
        axes.grid(visible=True, alpha=0.3)
        return standalone(figure)


def epsilon_per_query(curves: "Curves") -> str:
    """Epsilon per patient after each number of queries, as an SVG file. Not releasable."""
    with mpl.rc_context({**_STYLE, **_PLAIN}):
        figure = Figure(figsize=(6.0, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.plot(curves.queries, curves.guaranteed, label="guaranteed", linewidth=2)
        for name, values in (("published", curves.published), ("exact", curves.exact)):
            if values is not None:
                label = f"data-dependent, {name} (not releasable)"
                axes.plot(curves.queries, values, linestyle="--", label=label)
        axes.set_xlabel("queries")
        axes.set_ylabel("epsilon per patient")
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
        return standalone(figure)


def consensus(curves: "Curves") -> str:
    """How many teachers agree, over the queries, as an SVG file. Not releasable."""
    with mpl.rc_context({**_STYLE, **_PLAIN}):
        figure = Figure(figsize=(6.0, 3.0), layout="constrained")
        axes = figure.add_subplot()
        width = 100 / len(curves.consensus)
        edges = [place * width for place in range(len(curves.consensus))]
        axes.bar(edges, curves.consensus, width=width, align="edge", edgecolor="white")
        axes.set_xlabel("teachers that vote for the winning class, % (not releasable)")
        axes.set_ylabel("queries")
        return standalone(figure)


def standalone(figure: Figure) -> str:
    """An SVG file of its own, the same bytes every time."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def svg(figure: Figure, description: str) -> str:
    """One inline `<svg>` element with a label for screen readers and the page's colours."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    drawing = file.getvalue()
    drawing = drawing[drawing.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r' width="[^"]*pt"| height="[^"]*pt"', "", drawing, count=2)
    for color, name in _CSS.items():
        drawing = drawing.replace(color, name)
    label = description.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    return drawing.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
