"""Pictures as SVG files of their own, the same bytes every time; a page has `pictures`."""

import io
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from fedpate.privacy.account import Curves

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: readable by a screen reader, and small
    "svg.hashsalt": "fedpate",
    "font.family": "sans-serif",
    "font.size": 11,
}


def frontier(plan: Mapping[str, Any]) -> str:
    """Expected label accuracy against the guaranteed epsilon of a plan, as an SVG file."""
    rows, unit = plan["frontier"]["rows"], plan["frontier"]["unit"]
    with plain():
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
    with plain():
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
    with plain():
        figure = Figure(figsize=(6.0, 3.0), layout="constrained")
        axes = figure.add_subplot()
        width = 100 / len(curves.consensus)
        edges = [place * width for place in range(len(curves.consensus))]
        axes.bar(edges, curves.consensus, width=width, align="edge", edgecolor="white")
        axes.set_xlabel("teachers that vote for the winning class, % (not releasable)")
        axes.set_ylabel("queries")
        return standalone(figure)


def plain() -> AbstractContextManager[None]:
    """Inside, figures have the style of a file of its own: `standalone` writes it."""
    return mpl.rc_context(_STYLE)


def standalone(figure: Figure) -> str:
    """An SVG file of its own, the same bytes every time."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
