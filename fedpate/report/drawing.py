"""Inline SVG drawn by hand: small, styled by the page's own CSS, the same bytes every time.

Every picture is 420 units wide, about as wide as it is shown, so that its text keeps its size on a
phone. `jinja2` is not needed: what comes in as text is escaped here.
"""

import math
from collections.abc import Sequence
from html import escape

WIDTH = 420.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 14.0, 14.0, 44.0  # margins around the axes


class Axes:
    """A plot area with linear or logarithmic axes, and the pieces drawn in it."""

    def __init__(
        self, height: float, x: tuple[float, float], y: tuple[float, float], *, log_x: bool = False
    ) -> None:
        self.height, self._x, self._y, self._log = height, x, y, log_x
        self.pieces: list[str] = []

    def x(self, value: float) -> float:
        """Where a value is, from the left."""
        low, high = self._x
        share = (
            math.log(value / low) / math.log(high / low)
            if self._log
            else (value - low) / (high - low)
        )
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Where a value is, from the top."""
        low, high = self._y
        return self.height - BOTTOM - (value - low) / (high - low) * (self.height - TOP - BOTTOM)

    def add(self, tag: str, **attributes: object) -> None:
        """One element; `_` in a name stands for `-`, `cls` for `class`."""
        self.pieces.append(element(tag, "", **attributes))

    def text(self, x: float, y: float, words: str, **attributes: object) -> None:
        """A line of text."""
        self.pieces.append(element("text", words, x=x, y=y, **attributes))

    def frame(
        self, x_ticks: Sequence[float], y_ticks: Sequence[float], x_label: str, y_label: str
    ) -> None:
        """Grid lines, tick labels, and what the axes mean."""
        floor = self.height - BOTTOM
        for tick in y_ticks:
            y = self.y(tick)
            self.add("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, cls="grid")
            self.text(LEFT - 6, y + 4, f"{tick:g}", text_anchor="end")
        for tick in x_ticks:
            self.text(self.x(tick), floor + 17, f"{tick:g}", text_anchor="middle")
        self.add("line", x1=LEFT, x2=WIDTH - RIGHT, y1=floor, y2=floor, cls="axis")
        middle = (LEFT + WIDTH - RIGHT) / 2
        self.text(middle, self.height - 6, x_label, text_anchor="middle")
        turned = f"rotate(-90 12 {(TOP + floor) / 2:g})"
        self.text(12, (TOP + floor) / 2, y_label, text_anchor="middle", transform=turned)

    def path(self, xs: Sequence[float], ys: Sequence[float], *, filled: bool = False) -> None:
        """A line through points; filled, the area under it."""
        points = [f"{self.x(a):.2f} {self.y(b):.2f}" for a, b in zip(xs, ys, strict=True)]
        if filled:
            floor = f"{self.height - BOTTOM:.2f}"
            points = [f"{self.x(xs[0]):.2f} {floor}", *points, f"{self.x(xs[-1]):.2f} {floor}"]
        self.add("path", d="M" + "L".join(points), cls="area" if filled else "line")

    def picture(self, title: str) -> str:
        """The finished `<svg>`."""
        return svg(self.height, title, self.pieces)


def svg(height: float, title: str, pieces: Sequence[str]) -> str:
    """An `<svg>` with a title that a screen reader says."""
    label = escape(title)
    head = f'<svg viewBox="0 0 {WIDTH:g} {height:g}" role="img" aria-label="{label}">'
    return head + "".join(pieces) + "</svg>"


def element(tag: str, content: str, **attributes: object) -> str:
    """`<tag attribute="...">content</tag>`, escaped, numbers short."""
    names = {"cls": "class"}
    told = "".join(
        f' {names.get(name, name.replace("_", "-"))}="{_short(value)}"'
        for name, value in attributes.items()
    )
    return f"<{tag}{told}>{escape(content)}</{tag}>" if content else f"<{tag}{told}/>"


def ticks(high: float, most: int = 5) -> list[float]:
    """Round numbers from 0 to beyond `high`, at most `most` steps of 1, 2, 2.5 or 5 times 10^n."""
    rough = high / most if high > 0 else 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [round(step * n, 12) for n in range(math.ceil(high / step - 1e-9) + 1)]


def _short(value: object) -> str:
    return (
        f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else escape(str(value))
    )
