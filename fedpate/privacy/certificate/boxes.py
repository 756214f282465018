"""Rectangles of the (a, b) plane, with the laws at their corners."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedpate.privacy.certificate.laws import SQRT2, laws
from fedpate.records import Floats

# Outside this region of the plane the closed bounds of [6] hold (`search.LARGEST` fixes how large
# it must be).
A_MAX, B_MAX, UV_MIN = 15.0, 8.5, -13.0
INFINITE_B = 40.0  # two classes, or one bit: float64 cannot tell b = 40 from infinity [7]


@dataclass(frozen=True)
class Boxes:
    """Rectangles in the (a, b) plane and the laws at their corners."""

    edges: Floats  # (4, n): a from, a to, b from, b to
    laws: Floats  # (3, 4, n): outcome, corner

    @classmethod
    def of(cls, edges: Floats) -> "Boxes":
        """Boxes with their laws computed."""
        a, b = corners(edges)
        return cls(edges, laws(a, b))

    def refine(self, chosen: npt.NDArray[np.bool_]) -> "Boxes":
        """The same region, with the chosen boxes halved along their longer side."""
        left, right, low, high = self.edges[:, chosen]
        wide = (right - left >= high - low) | (low == high)
        a, b = (left + right) / 2, (low + high) / 2
        first = np.stack([left, np.where(wide, a, right), low, np.where(wide, high, b)])
        second = np.stack([np.where(wide, a, left), right, np.where(wide, low, b), high])
        halves = Boxes.of(np.concatenate([first, second], axis=1))
        return Boxes(
            np.concatenate([self.edges[:, ~chosen], halves.edges], axis=1),
            np.concatenate([self.laws[:, :, ~chosen], halves.laws], axis=2),
        )


def corners(edges: Floats) -> tuple[Floats, Floats]:
    """(4, n) a and b at the corners: left low, left high, right low, right high."""
    left, right, low, high = edges
    return np.stack([left, left, right, right]), np.stack([low, high, low, high])


def cover_plane() -> Boxes:
    """Boxes over the region that [6] leaves."""
    return Boxes.of(_grid(np.linspace(UV_MIN * SQRT2, B_MAX, 28)))


def cover_line() -> Boxes:
    """Intervals of the line b = infinity."""
    return Boxes.of(_grid(np.array([INFINITE_B, INFINITE_B])))


def _grid(b: Floats) -> Floats:
    a = np.linspace(-A_MAX, A_MAX, 31)
    left, low = (x.ravel() for x in np.meshgrid(a[:-1], b[:-1]))
    right, high = (x.ravel() for x in np.meshgrid(a[1:], b[1:]))
    return np.stack([left, right, low, high])
