"""The pictures of a run's page: what was spent, how sure the teachers were, what went where."""

from collections.abc import Mapping, Sequence
from typing import Any

from fedpate.report import text
from fedpate.report.drawing import BOTTOM, TOP, WIDTH, Axes, element, svg, ticks
from fedpate.report.spending import Spending

HEIGHT = 250.0
FAR = 4.0  # a budget so many times larger than what was spent would flatten the curve
MOST_MARKS = 6  # charges whose ends are marked


def spending_curve(spent: Spending, unit: str, delta: float, budget: float | None) -> str:
    """Guaranteed epsilon against charged queries, with the budget as a limit."""
    total, queries = spent.epsilon[-1], spent.queries
    limit = budget if budget is not None and budget <= FAR * total else None
    y_ticks = ticks(max(total, limit or 0.0) * 1.04)
    axes = Axes(HEIGHT, (0, queries[-1]), (0, y_ticks[-1]))
    x_ticks = [tick for tick in ticks(queries[-1]) if tick <= queries[-1]]
    axes.frame(x_ticks, y_ticks, "queries charged", f"epsilon per {unit}")
    axes.path(queries, spent.epsilon, filled=True)
    axes.path(queries, spent.epsilon)
    for _, end in spent.charges[:-1][:MOST_MARKS]:
        x = axes.x(end)
        axes.add("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, cls="mark")
    if limit is not None:
        y = axes.y(limit)
        axes.add("line", x1=axes.x(0), x2=axes.x(queries[-1]), y1=y, y2=y, cls="limit")
        axes.text(axes.x(0) + 6, y + 15, f"budget {limit:g}", cls="over")
    end_x, end_y = axes.x(queries[-1]), axes.y(total)
    axes.add("circle", cx=end_x, cy=end_y, r=4, cls="dot")
    below = limit is not None and 0 <= end_y - axes.y(limit) < 22
    place = end_y + (20 if below else -9)
    axes.text(end_x - 4, place, text.epsilon(total), text_anchor="end", cls="value")
    told = f"at delta {delta:g} the ledger holds epsilon {text.epsilon(total)} per {unit}"
    return axes.picture(f"Line: after {queries[-1]} charged queries {told}")


def consensus_bars(bins: Sequence[int]) -> str:
    """Queries by the share of teachers that voted for the winning class."""
    width = 100 / len(bins)
    first = next((place for place, count in enumerate(bins) if count), 0)
    low = min(50.0, width * first)
    y_ticks = ticks(max(*bins, 1))
    axes = Axes(HEIGHT, (low, 100), (0, y_ticks[-1]))
    shown = [tick for tick in range(0, 101, 10) if tick >= low]
    axes.frame(shown, y_ticks, "teachers that agree, %", "queries")
    for place, count in enumerate(bins):
        if count:
            x, y = axes.x(place * width) + 1, axes.y(count)
            wide = axes.x((place + 1) * width) - x - 1
            axes.add("rect", x=x, y=y, width=wide, height=HEIGHT - BOTTOM - y, cls="bar")
    most = sum(bins[-(len(bins) // 10) :])
    return axes.picture(
        f"Histogram: on {most} of {sum(bins)} queries at least 90 % of the teachers agree"
    )


def data_flow(summary: Mapping[str, Any]) -> str:
    """Who holds what and what travels: hospitals, coordinator, everybody else."""
    federation, labels = summary["federation"], summary["labels"]
    local = federation["trust"] == "local"
    noisy = not local and summary["mechanism"]["name"] != "none"
    k = federation["teachers_per_hospital"]
    pieces = [
        *_panel(8, 128, f"inside each of {federation['hospitals']} hospitals", "inside"),
        *_chain(46, ("records", f"{k} shards" if k > 1 else "1 shard", _teachers(k))),
        _words(210, 122, "no patient is in two shards"),
        *_arrow(150, 206, 136, f"{labels['asked']} public", "records, unlabeled", up=True),
        *_arrow(270, 136, 206, "noisy votes" if local else "votes", "and nothing else"),
        *_panel(206, 98, "at the coordinator", "middle"),
        *_chain(244, ("count", "charge ledger", "add noise, pick" if noisy else "most votes")),
        *_arrow(210, 304, 362, f"{labels['answered']} labels", "the release"),
        *_panel(362, 62, "everybody else", "outside"),
        _words(210, 408, "the student is trained on released labels alone"),
    ]
    defs = (
        '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        'markerHeight="7" orient="auto-start-reverse"><path d="M0 0L10 5L0 10z" class="tip"/>'
        "</marker></defs>"
    )
    told = (
        "Data flow: records, shards and teachers stay inside each hospital; public records go in, "
        f"{'noisy votes' if local else 'votes'} come out; the coordinator counts, charges the "
        f"ledger{', adds noise' if noisy else ''} and releases {labels['answered']} labels; the "
        "student sees the labels alone"
    )
    return svg(432.0, told, [defs, *pieces])


def _teachers(k: int) -> str:
    return "1 teacher" if k == 1 else f"{k} teachers"


def _panel(y: float, height: float, title: str, kind: str) -> list[str]:
    box = element("rect", "", x=4, y=y, width=WIDTH - 8, height=height, rx=10, cls=f"panel {kind}")
    return [box, element("text", title, x=18, y=y + 23, cls="title")]


def _chain(y: float, names: Sequence[str]) -> list[str]:
    """Boxes in a row, an arrow from each to the next."""
    gap, wide = 22.0, (WIDTH - 36 - 22.0 * (len(names) - 1)) / len(names)
    pieces = []
    for place, name in enumerate(names):
        x = 18 + place * (wide + gap)
        pieces.append(element("rect", "", x=x, y=y, width=wide, height=44, rx=6, cls="box"))
        pieces.append(
            element("text", name, x=x + wide / 2, y=y + 27, text_anchor="middle", cls="label")
        )
        if place:
            pieces.append(_line(x - gap + 2, y + 22, x - 2, y + 22))
    return pieces


def _arrow(
    x: float, y1: float, y2: float, first: str, second: str, *, up: bool = False
) -> list[str]:
    middle = (y1 + y2) / 2
    side = -10 if up else 10
    anchor = "end" if up else "start"
    return [
        _line(x, y1 + (-3 if up else 3), x, y2 + (3 if up else -3)),
        element("text", first, x=x + side, y=middle - 3, text_anchor=anchor, cls="value"),
        element("text", second, x=x + side, y=middle + 14, text_anchor=anchor),
    ]


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return element("line", "", x1=x1, y1=y1, x2=x2, y2=y2, cls="arrow", marker_end="url(#tip)")


def _words(x: float, y: float, words: str) -> str:
    return element("text", words, x=x, y=y, text_anchor="middle")
