"""Secure noise: integers drawn by inverting a continuous law at bits from the operating system.

One cell (one class of one query) gets a uniform U, first 128 bits of it, and X = Q(U) with Q the
quantile of its law. What is drawn is the integer k = round(X). The arg max compares the integers
count + k and breaks a tie at the top by X - k, so it is the arg max of count + X: *exactly* the
mechanism that the theorems are about, with no correction for discretisation. A released vector of
integers count + k is a rounding, thus post-processing, of the continuous mechanism.

Floating point never decides a close call. A decision is a comparison, made in float64 where it
clears a margin 10^4 times the error of `fedpate.privacy.laws`, which also covers what further bits
of U could change. Otherwise the cell becomes an interval [Q(u/2^B), Q((u+1)/2^B)] in mpmath, wider
by mpmath's own error, and its bits are doubled until all of it lies on one side. Drawing bits only
when they matter has the law of drawing them all, so the noise has the continuous law unless
`MAX_BITS` are too few. That needs U within 2^(3-MAX_BITS) of one of the points where a decision
changes: at most 2^55 of them per cell (scale 10^12, |X| <= 5,700 scales: the integers' boundaries)
and one for a threshold or an arg max given the other cells, together below 2^(64-MAX_BITS).

An accountant multiplies this distance by e^epsilon. With the 128 bits alone an epsilon above 60, as
a hospital of many teachers has, could not be backed by the noise; with 8,192 it vanishes beside
any delta up to an epsilon of 5,500.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import mpmath
import numpy as np

from fedpate.privacy.entropy import Bools, Entropy, OsEntropy, SeededEntropy, Words
from fedpate.privacy.laws import Exponential, Gaussian, Gumbel, Laplace, Law
from fedpate.records import Floats, Ints

__all__ = [
    "Draw",
    "Entropy",
    "Exponential",
    "Gaussian",
    "Gumbel",
    "Laplace",
    "Law",
    "OsEntropy",
    "SeededEntropy",
    "draw",
    "noisy_argmax",
    "noisy_threshold",
    "statistical_distance",
]

Interval = tuple[mpmath.mpf, mpmath.mpf]
T = TypeVar("T")
Decide = Callable[[list[Interval], mpmath.MPContext], T | None]  # None: more bits are needed

MARGIN = 1e-9  # relative to scale + |x|; float64 is right to 1e-13
MAX_BITS = 8192
FLOAT_TAIL = 2.0**-64  # below, fewer than 64 of a cell's first 128 bits are left to place X


def statistical_distance(n_cells: int) -> float:
    """Upper bound on the total variation between `n_cells` drawn and the continuous law."""
    return float(n_cells * 2.0 ** (64 - MAX_BITS))  # 0 in float64 unless MAX_BITS is made small


class _Uniform:
    """The bits of one cell's U drawn so far: U is in [numerator, numerator + 1] / 2^bits."""

    def __init__(self, high: int, low: int) -> None:
        self.numerator, self.bits = high << 64 | low, 128

    def refine(self, entropy: Entropy) -> None:
        if self.bits >= MAX_BITS:
            raise RuntimeError(f"{MAX_BITS} random bits decided nothing: entropy is not random")
        for word in entropy.words(self.bits // 64):
            self.numerator = self.numerator << 64 | int(word)
        self.bits *= 2

    def interval(self, law: Law, mp: mpmath.MPContext) -> Interval:
        """Bounds on X that hold whatever the bits not yet drawn are."""
        low, high = (self._quantile(law, self.numerator + end, mp) for end in (0, 1))
        error = mp.mpf(10) ** (12 - mp.dps)  # mpmath's own is about 10^-dps
        return low - error * (law.scale + abs(low)), high + error * (law.scale + abs(high))

    def _quantile(self, law: Law, numerator: int, mp: mpmath.MPContext) -> mpmath.mpf:
        upper = numerator > 1 << (self.bits - 1)
        tail = (1 << self.bits) - numerator if upper else numerator
        if tail == 0:
            return mp.inf if upper else -mp.inf
        return law.exact_quantile(mp.ldexp(tail, -self.bits), upper, mp)


@dataclass(frozen=True, eq=False)
class Draw:
    """Noise for an array of cells, drawn once and used for one decision about each."""

    law: Law
    integers: Ints  # the discrete noise k, any shape
    values: Floats  # X in float64, the same shape; NaN where float64 cannot be trusted
    _words: Words  # (n_cells, 2), the first 128 bits of each cell
    _entropy: Entropy
    _refined: dict[int, _Uniform] = field(default_factory=dict)  # cells with more than 128 bits
    # Its own context: mpmath's global precision could be changed by another thread.
    _mp: mpmath.MPContext = field(default_factory=mpmath.MPContext)

    @property
    def margin(self) -> Floats:
        """How far float64 must be from a decision to make it, per cell; NaN stays NaN."""
        return MARGIN * (self.law.scale + np.abs(self.values))

    def settle(self, cells: Sequence[int], decide: Decide[T]) -> T:
        """Draw more bits of `cells` (flat indices) until `decide` can answer from intervals."""
        uniforms = []
        for cell in cells:
            high, low = map(int, self._words[cell])
            uniforms.append(self._refined.setdefault(cell, _Uniform(high, low)))
        while True:
            self._mp.dps = int(max(uniform.bits for uniform in uniforms) * 0.302) + 25
            intervals = [uniform.interval(self.law, self._mp) for uniform in uniforms]
            answer = decide(intervals, self._mp)
            if answer is not None:
                return answer
            for uniform in uniforms:
                uniform.refine(self._entropy)


def draw(law: Law, shape: tuple[int, ...], entropy: Entropy) -> Draw:
    """Independent noise for every cell: 16 bytes of entropy and 40 bytes of memory per cell."""
    words = entropy.words(2 * int(np.prod(shape))).reshape(-1, 2)
    upper = words[:, 0] >> np.uint64(63) == 1
    flipped = np.where(upper[:, None], ~words, words).astype(np.float64)
    tail = flipped[:, 0] * 2.0**-64 + (flipped[:, 1] + 0.5) * 2.0**-128
    trusted = tail >= FLOAT_TAIL
    values = np.where(trusted, law.quantile(tail, upper), np.nan)
    rounded = np.rint(values)
    to_boundary = 0.5 - np.abs(values - rounded)
    # NaN fails the comparison, so what float64 cannot be trusted with is settled exactly too.
    close = ~(to_boundary > MARGIN * (law.scale + np.abs(values)))
    integers = np.where(close, 0, rounded).astype(np.int64)
    drawn = Draw(law, integers.reshape(shape), values.reshape(shape), words, entropy)
    for cell in np.flatnonzero(close):
        drawn.integers.flat[cell] = drawn.settle([int(cell)], _common_integer)
    return drawn


def _common_integer(intervals: list[Interval], mp: mpmath.MPContext) -> int | None:
    low, high = (mp.floor(end + 0.5) for end in intervals[0])
    return int(low) if low == high else None


def noisy_argmax(counts: Ints, drawn: Draw) -> Ints:
    """The arg max of counts + X per row, exactly as for the continuous X.

    Args:
      counts: (n_queries, n_classes) votes; integers of either sign.
      drawn: noise of the same shape.

    Returns:
      (n_queries,) classes.
    """
    scores = counts + drawn.integers
    top = scores == scores.max(axis=1, keepdims=True)
    labels: Ints = top.argmax(axis=1)
    tied = np.flatnonzero(top.sum(axis=1) > 1)
    if not len(tied):
        return labels
    residuals = np.where(top[tied], drawn.values[tied] - drawn.integers[tied], -np.inf)
    best, margin = residuals.argmax(axis=1), drawn.margin[tied]
    lead = np.take_along_axis(residuals, best[:, None], axis=1) - residuals
    np.put_along_axis(lead, best[:, None], np.inf, axis=1)
    needed = np.where(top[tied], margin, 0).max(axis=1)
    labels[tied] = best
    for row in tied[~(lead.min(axis=1) > 2 * needed)]:
        labels[row] = _settle_tie(counts, drawn, int(row), np.flatnonzero(top[row]))
    return labels


def _settle_tie(counts: Ints, drawn: Draw, row: int, classes: Ints) -> int:
    votes = [int(counts[row, c]) for c in classes]

    def winner(intervals: list[Interval], _: mpmath.MPContext) -> int | None:
        lows = [n + low for n, (low, _) in zip(votes, intervals, strict=True)]
        highs = [n + high for n, (_, high) in zip(votes, intervals, strict=True)]
        best = max(range(len(lows)), key=lows.__getitem__)
        others = (high for i, high in enumerate(highs) if i != best)
        return int(classes[best]) if all(lows[best] > high for high in others) else None

    return drawn.settle([row * counts.shape[1] + int(c) for c in classes], winner)


def noisy_threshold(statistic: Floats | Ints, threshold: float, drawn: Draw) -> Bools:
    """Whether statistic + X >= threshold, elementwise, exactly as for the continuous X."""
    gap = threshold - statistic.astype(np.float64)
    lead = drawn.values - gap
    above = lead >= 0
    for cell in np.flatnonzero(~(np.abs(lead) > drawn.margin + MARGIN * np.abs(gap))):
        above.flat[cell] = _settle_threshold(
            float(statistic.flat[cell]), threshold, drawn, int(cell)
        )
    return above


def _settle_threshold(statistic: float, threshold: float, drawn: Draw, cell: int) -> bool:
    def side(intervals: list[Interval], mp: mpmath.MPContext) -> bool | None:
        (low, high), gap = intervals[0], mp.mpf(threshold) - mp.mpf(statistic)
        if low >= gap:
            return True
        return False if high < gap else None

    return drawn.settle([cell], side)
