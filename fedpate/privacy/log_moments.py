"""Rényi divergences between many pairs of discrete laws at many orders, and the largest of them.

K(t) = log sum p (p/q)^t is the log moment of a pair; the divergence of order 1 + t is K(t)/t. Logs
are natural, arrays are (n_pairs, n_outcomes), and an outcome may stand for several equal classes.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from fedpate.records import Floats

_KNOTS = 15  # orders at which all pairs are compared before most are discarded
_LARGEST = 500.0  # exponents below this in absolute value are summed directly


def as_orders(orders: npt.ArrayLike) -> Floats:
    """Rényi orders as a float64 vector; whole numbers kept as integers would overflow in powers.

    Raises:
      ValueError: not 1-D, or an order that is not finite and > 1.
    """
    values = np.atleast_1d(np.asarray(orders, dtype=np.float64))
    if values.ndim != 1 or not (np.isfinite(values) & (values > 1)).all():
        raise ValueError(f"orders must be 1-D, finite and > 1, got {orders!r}")
    return values


@dataclass(frozen=True, eq=False)
class OrderGrid:
    """Orders, a few of them as knots, and linear interpolation from the knots to all of them."""

    steps: Floats  # (n_orders,) order - 1
    knots: Floats  # (n_knots,) some of the steps, increasing, both ends included
    hats: Floats  # (n_knots, n_orders) weights of the interpolation

    @classmethod
    def of(cls, orders: npt.ArrayLike) -> "OrderGrid":
        """The grid of the given orders, in their order."""
        steps = as_orders(orders) - 1
        different = np.unique(steps)
        places = np.linspace(0, len(different) - 1, min(_KNOTS, len(different)))
        knots = different[places.round().astype(int)]
        hats = np.array([np.interp(steps, knots, unit) for unit in np.eye(len(knots))])
        return cls(steps, knots, hats)


@dataclass(frozen=True, eq=False)
class LogMoments:
    """Pairs of laws P, Q over the same outcomes; each (n_pairs, n_outcomes)."""

    log_p: Floats
    log_q: Floats
    sizes: Floats  # how many classes an outcome stands for; probabilities are those of one

    def take(self, pairs: npt.NDArray[np.bool_]) -> "LogMoments":
        """Some of the pairs."""
        return LogMoments(self.log_p[pairs], self.log_q[pairs], self.sizes[pairs])

    def at(self, steps: Floats) -> Floats:
        """K(t), (n_pairs, n_steps), >= 0.

        As p sums to one this is log1p(sum p ((p/q)^t - 1)): the values of interest are tiny.
        """
        possible = (self.sizes > 0) & (self.log_p > -np.inf)
        loss = np.where(possible, self.log_p, 0.0) - np.where(possible, self.log_q, 0.0)
        if max(loss.max(), -loss.min()) * steps.max() < _LARGEST:
            weights = np.where(possible, np.exp(self.log_p), 0.0) * self.sizes
            cells = loss[:, :, None] * steps
            np.expm1(cells, out=cells)
            excess = np.matmul(weights[:, None, :], cells)[:, 0, :]
            return np.asarray(np.log1p(np.maximum(excess, 0.0)))
        with np.errstate(divide="ignore"):
            logs = np.where(possible, self.log_p + np.log(self.sizes), -np.inf)
        total = special.logsumexp(logs[:, :, None] + loss[:, :, None] * steps, axis=1)
        return np.asarray(np.maximum(total, 0.0))


def largest_divergence(pairs: LogMoments, grid: OrderGrid) -> Floats:
    """The largest Rényi divergence over all pairs, (n_orders,), without computing most of them.

    K is convex, so between two knots it lies below its chord: a pair whose chords never pass what
    the best pairs at the knots reach is never the largest.
    """
    coarse = pairs.at(grid.knots)  # (n_pairs, n_knots)
    leaders = np.zeros(len(coarse), dtype=bool)
    leaders[coarse.argmax(axis=0)] = True
    reached = pairs.take(leaders).at(grid.steps).max(axis=0)
    with np.errstate(invalid="ignore"):  # an infinite K is infinite everywhere: already reached
        chords = coarse @ grid.hats
    contenders = (chords > reached).any(axis=1) & ~leaders
    if contenders.any():
        np.maximum(reached, pairs.take(contenders).at(grid.steps).max(axis=0), out=reached)
    return np.asarray(reached / grid.steps)
