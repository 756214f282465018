"""The laws of {A wins, B wins, other} and their derivatives, exact and bounded over boxes [3, 4].

Axis 0 is the outcome: A, B, other. Everything is a sum of products of positive factors, or nearly,
so that float64 keeps relative precision in the tails.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy import special

from fedpate.records import Floats

SQRT2 = math.sqrt(2)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
_PANEL = 0.25


def _density(x: Floats) -> Floats:
    return np.asarray(np.exp(-x * x / 2) / math.sqrt(2 * math.pi))


def _uv(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    return (a + b) / SQRT2, (b - a) / SQRT2


def laws(a: Floats, b: Floats) -> Floats:
    """(3, ...) probabilities of A, B, other."""
    u, v = _uv(a, b)
    return np.stack([_wins(-a, b), _wins(a, b), special.ndtr(-u) * special.ndtr(-v)])


def _wins(a: Floats, b: Floats) -> Floats:
    """P(B wins) = integral over y > 0 of phi(y + a) Phi(y + b): positive, so precise in the tails.

    The integrand is log-concave with curvature <= -1, so 12 either side of its peak are enough;
    12 nodes per quarter resolve a decay of exp(-40 y) to 1e-13.
    """
    flat_a, flat_b = a.ravel(), b.ravel()
    rising = np.minimum(-(flat_a + flat_b) / 2, -flat_b)  # where phi's fall meets Phi's rise
    start = np.maximum(0, np.maximum(-flat_a, rising) - 12)
    steps = np.arange(0, 24, _PANEL)[:, None] + _PANEL / 2 * (1 + _NODES)
    out = np.empty(len(flat_a))
    for k in range(0, len(out), 512):  # bounds the memory
        y = start[k : k + 512, None, None] + steps
        values = _density(y + flat_a[k : k + 512, None, None])
        values *= special.ndtr(y + flat_b[k : k + 512, None, None])
        out[k : k + 512] = _PANEL / 2 * (values * _WEIGHTS).sum(axis=(1, 2))
    return out.reshape(a.shape)


def _slopes(a: Floats, b: Floats) -> Floats:
    """(3, ...) derivatives of the laws along a."""
    u, v = _uv(a, b)
    both = _density(a) * special.ndtr(b)
    from_other = _density(u) * special.ndtr(-v) / SQRT2
    to_other = _density(v) * special.ndtr(-u) / SQRT2
    return np.stack([both + from_other, -both - to_other, to_other - from_other])


def changes(a: Floats, b: Floats, delta: float) -> Floats:
    """(3, ...) law at a - delta minus law at a, as an integral: no cancellation.

    Slopes grow at most like exp(25 t) along the path, in the far tails; 12 nodes per half resolve
    that to 1e-10, and to rounding where the laws matter.
    """
    panels = math.ceil(2 * delta)
    width = delta / panels
    path = (width * np.arange(panels)[:, None] + width / 2 * (1 + _NODES)).ravel()
    slopes = _slopes(a[..., None] - path, b[..., None] + 0 * path)
    return np.asarray(-width / 2 * (slopes * np.tile(_WEIGHTS, panels)).sum(-1))


@dataclass(frozen=True)
class _Range:
    """A coordinate's interval in each box, and suprema over it."""

    low: Floats
    high: Floats

    @property
    def size(self) -> Floats:
        """Sup of |x|."""
        return np.maximum(np.abs(self.low), np.abs(self.high))

    @property
    def density(self) -> Floats:
        """Sup of phi(x)."""
        nearest = np.clip(0.0, self.low, self.high)
        return _density(nearest)

    @property
    def second(self) -> Floats:
        """Sup of |1 - x^2|."""
        ends = np.maximum(np.abs(1 - self.low**2), np.abs(1 - self.high**2))
        return np.where((self.low <= 0) & (self.high >= 0), np.maximum(ends, 1), ends)

    @property
    def upper_tail(self) -> Floats:
        """Sup of Phi(-x)."""
        return np.asarray(special.ndtr(-self.low))


def curvatures(edges: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Suprema over each box of |L_aa|, |L_bb|, |L_aaa|, |L_abb|; each (3, n)."""
    left, right, low, high = edges
    a, b = _Range(left, right), _Range(low, high)
    u = _Range(*_uv(left, low)[:1], *_uv(right, high)[:1])
    v = _Range(_uv(right, low)[1], _uv(left, high)[1])
    product = a.density * b.density
    below = special.ndtr(high)

    def win(x: _Range, y: _Range) -> list[Floats]:
        """For B, (x, y) = (v, u); for A they change places."""
        first = x.size * x.density * y.upper_tail
        third = (x.second * x.density * y.upper_tail + x.size * product) / (2 * SQRT2)
        return [
            a.size * a.density * below + (first + product) / 2,
            (first + product) / 2,
            a.second * a.density * below + third + a.size * product / 2,
            third + a.size * product / 2,
        ]

    falls = u.density * v.upper_tail, v.density * u.upper_tail
    second = (u.size * falls[0] + v.size * falls[1]) / 2 + product
    third = (u.second * falls[0] + v.second * falls[1] + (u.size + v.size) * product) / (2 * SQRT2)
    third = third + a.size * product
    other = [second, second, third, third]
    stacked = [np.stack(group) for group in zip(win(u, v), win(v, u), other, strict=True)]
    return stacked[0], stacked[1], stacked[2], stacked[3]
