"""The exact law of the noisy arg max: closed forms and quadrature, in log space.

For independent noise with density f and distribution F, class j of the histogram n wins with
    Pr[j] = integral of f(x - n_j) prod_{i != j} F(x - n_i) dx.
Classes with equal counts win equally often, so a law works on *levels*: the different vote numbers,
and how many classes have each. A neighbour of a histogram is another occupation of nearly the same
levels, and shares the nodes of the quadrature with it.

Two exceptions: Gumbel noise is the exponential mechanism, a softmax ([MT07] McSherry, Talwar, FOCS
2007), and exponential noise is permute-and-flip ([MS20] McKenna, Sheldon, arXiv:2010.12603, by
[DKS21] Ding et al., arXiv:2105.07260), an integral over polynomials that Gauss's rule does exactly.

NOT RELEASABLE: a law looks at the votes.
"""

import functools
import itertools
import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import special

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.records import Floats, Ints

_MOST_NODES = 200_000  # of one quadrature: bounds its memory at some 100 MB
_NEVER = -1e9  # a log probability that is zero after any sum, and finite, so that 0 * it is 0
_OVERFLOW = 500.0  # exp of less than this, times anything below, is finite
_UNDERFLOW = -600.0  # a sum above exp of this lost nothing to underflow


class NoisyMaxLaw(Protocol):
    """Which class wins when every count gets independent noise."""

    def log_probabilities(self, levels: Floats, occupied: Ints) -> Floats:
        """log Pr[one class at this level wins], for several histograms over the same levels.

        Args:
          levels: (n_levels,) different vote numbers, increasing.
          occupied: (n_histograms, n_levels) how many classes have that number; equal row sums.

        Returns:
          (n_histograms, n_levels); meaningless where no class occupies the level.
        """


@dataclass(frozen=True)
class _Nodes:
    """A quadrature rule with the noise at its nodes; all (n_nodes, ...), logs natural."""

    log_weights: Floats  # (n_nodes,)
    log_cdf: Floats  # (n_nodes, n_levels) of x - level
    log_density: Floats  # (n_nodes, n_levels) of x - level

    def log_probabilities(self, occupied: Ints) -> Floats:
        """The integral, as a matrix product; in log space where that would underflow."""
        everyone = occupied @ self.log_cdf.T + self.log_weights  # (n_histograms, n_nodes)
        hazard = self.log_density - self.log_cdf  # one class at x, and all the others below it
        if hazard.max() < _OVERFLOW:
            with np.errstate(under="ignore", divide="ignore"):
                result = np.log(np.exp(everyone) @ np.exp(hazard))
            if result.min() > _UNDERFLOW:
                return np.asarray(result)
        logs = [special.logsumexp(row[:, None] + hazard, axis=0) for row in everyone]
        result = np.vstack(logs)
        return np.where(result < _NEVER / 2, -np.inf, result)


def _as_rows(counts: Ints) -> list[tuple[Floats, Ints, Ints]]:
    """Per histogram: its levels, how many classes occupy each, and each class's level."""
    rows = []
    for row in counts:
        levels, place, occupied = np.unique(row, return_inverse=True, return_counts=True)
        rows.append((levels.astype(np.float64), place, occupied))
    return rows


def log_law(law: NoisyMaxLaw, counts: Ints) -> Floats:
    """log Pr[class wins], (n_queries, n_classes). Not releasable."""
    return np.array(
        [law.log_probabilities(lv, occ[None])[0][place] for lv, place, occ in _as_rows(counts)]
    )


@dataclass(frozen=True)
class GaussianLaw:
    """N(0, scale^2) noise, by the trapezoid rule, which is exponentially accurate here."""

    scale: float

    def __post_init__(self) -> None:
        _check.positive(noise_scale=self.scale)

    def log_probabilities(self, levels: Floats, occupied: Ints) -> Floats:
        """See `NoisyMaxLaw`."""
        n_classes = int(occupied[0].sum())
        # the maximum of many classes is narrower; tests/privacy/test_exact.py holds sums to 1e-13
        density = max(2.5, 1.4 + 1.1 * math.log(n_classes))  # nodes per standard deviation
        n_teachers = float(occupied[0] @ levels)
        if n_teachers * density > _MOST_NODES * self.scale:
            raise ConfigError(
                f"mechanism.noise_scale must be >= {n_teachers * density / _MOST_NODES:.2g} votes "
                f"for the exact law of {n_teachers:g} teachers, got {self.scale!r}"
            )
        start, stop = levels[0] - 9 * self.scale, levels[-1] + 9 * self.scale
        step = self.scale / density
        x = np.arange(start, stop + step, step)
        z = (x[:, None] - levels) / self.scale
        log_density = -z * z / 2 - math.log(math.sqrt(2 * math.pi) * self.scale)
        log_weights = np.full(len(x), math.log(step))
        nodes = _Nodes(log_weights, special.log_ndtr(z), log_density)
        return nodes.log_probabilities(occupied)


@dataclass(frozen=True)
class LaplaceLaw:
    """Laplace noise: exact beyond the counts, Gauss-Legendre panels between them (it has kinks)."""

    scale: float

    def __post_init__(self) -> None:
        _check.positive(noise_scale=self.scale)

    def log_probabilities(self, levels: Floats, occupied: Ints) -> Floats:
        """See `NoisyMaxLaw`."""
        n_classes = int(occupied[0].sum())
        b = self.scale
        # below all counts the integrand is C e^(n_classes x / b): one node at the lowest count
        x, log_weights = [levels[:1]], [np.array([math.log(b / n_classes)])]
        t, w = _legendre(12)
        for left, right in itertools.pairwise(levels):
            edges = _graded(left, right, b / 2)
            widths = np.diff(edges)
            x.append((edges[:-1, None] + widths[:, None] * t).ravel())
            log_weights.append(np.log(widths[:, None] * w).ravel())
        y, w = _legendre(n_classes // 2 + 1)  # above them a polynomial in y = e^(-(x - highest)/b)
        x.append(levels[-1] - b * np.log(y))
        log_weights.append(np.log(b * w / y))
        z = (np.concatenate(x)[:, None] - levels) / b
        log_tail = -np.abs(z) - math.log(2)
        log_cdf = np.where(z > 0, np.log1p(-np.exp(log_tail)), log_tail)
        return _Nodes(
            np.concatenate(log_weights), log_cdf, log_tail - math.log(b)
        ).log_probabilities(occupied)


@dataclass(frozen=True)
class GumbelLaw:
    """Gumbel noise: the exponential mechanism, Pr[j] proportional to exp(n_j / scale) ([MT07])."""

    scale: float

    def __post_init__(self) -> None:
        _check.positive(noise_scale=self.scale)

    def log_probabilities(self, levels: Floats, occupied: Ints) -> Floats:
        """See `NoisyMaxLaw`."""
        z = levels / self.scale
        with np.errstate(divide="ignore"):
            total = special.logsumexp(z + np.log(occupied), axis=1, keepdims=True)
        return np.asarray(z - total)


@dataclass(frozen=True)
class PermuteAndFlipLaw:
    """Exponential noise, which is permute-and-flip ([MS20], [DKS21]).

    Between two counts, and above them, the integrand is a polynomial of degree n_classes - 1 in
    y = e^(-x/scale): Gauss-Legendre nodes in y are exact.
    """

    scale: float

    def __post_init__(self) -> None:
        _check.positive(noise_scale=self.scale)

    def log_probabilities(self, levels: Floats, occupied: Ints) -> Floats:
        """See `NoisyMaxLaw`."""
        b = self.scale
        highest = levels[(occupied > 0).any(axis=0)][-1]
        # no histogram is won below its own highest level
        lowest = min(levels[row > 0][-1] for row in occupied)
        edges = np.exp(-(levels[(levels >= lowest) & (levels <= highest)] - highest) / b)
        edges = np.append(edges, 0.0)  # decreasing in y
        y, w = _legendre(int(occupied[0].sum()) // 2 + 1)
        heights = edges[:-1] - edges[1:]
        nodes = (edges[1:, None] + heights[:, None] * y).ravel()
        weights = (heights[:, None] * w).ravel()
        z = ((highest - b * np.log(nodes))[:, None] - levels) / b
        positive = np.where(z > 0, z, 1.0)
        log_cdf = np.where(z > 0, np.log(-np.expm1(-positive)), _NEVER)
        log_density = np.where(z > 0, -z - math.log(b), _NEVER)
        return _Nodes(np.log(b * weights / nodes), log_cdf, log_density).log_probabilities(occupied)


@dataclass(frozen=True, eq=False)
class DiscreteLaw:
    """Integer noise with any probabilities; ties at the top are broken uniformly at random.

    A uniform tie-break is the same as adding independent uniform noise on [0, 1), so the law is
    piecewise polynomial in x, and Gauss-Legendre nodes in each unit cell are exact.
    """

    lowest: int  # the first value of the noise
    probabilities: Floats  # (n_values,) of lowest, lowest + 1, ...; sum to 1

    def __post_init__(self) -> None:
        total = float(self.probabilities.sum())
        if self.probabilities.ndim != 1 or not (self.probabilities >= 0).all():
            raise ValueError("probabilities must be 1-D and >= 0")
        if abs(total - 1) > 1e-9:
            raise ValueError(f"probabilities must sum to 1, got {total}")

    def log_probabilities(self, levels: Floats, occupied: Ints) -> Floats:
        """See `NoisyMaxLaw`."""
        last = self.lowest + len(self.probabilities) - 1
        cells = np.arange(int(levels[0]) + self.lowest, int(levels[-1]) + last + 1)
        t, w = _legendre(int(occupied[0].sum()) // 2 + 1)
        offset = cells[:, None] - levels.astype(np.int64) - self.lowest
        pmf = np.append(self.probabilities, 0.0)
        below = np.append(0.0, np.cumsum(self.probabilities))
        inside = (offset >= 0) & (offset < len(self.probabilities))
        density = pmf[np.where(inside, offset, -1)]
        start = below[np.clip(offset, 0, len(self.probabilities))]
        cdf = start[:, None, :] + t[:, None] * density[:, None, :]
        with np.errstate(divide="ignore"):
            log_cdf = np.maximum(np.log(cdf), _NEVER).reshape(-1, len(levels))
            log_density = np.maximum(np.log(density), _NEVER)
        log_density = np.repeat(log_density, len(t), axis=0)
        return _Nodes(np.tile(np.log(w), len(cells)), log_cdf, log_density).log_probabilities(
            occupied
        )


@functools.cache
def _legendre(n: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on (0, 1); exact for polynomials of degree 2n - 1."""
    t, w = np.polynomial.legendre.leggauss(n)
    return (t + 1) / 2, w / 2


def _graded(left: float, right: float, width: float) -> Floats:
    """Panel edges that double in width away from both ends: kinks and steep parts are there."""
    half = (right - left) / 2
    n = max(0, math.ceil(math.log2(half / width + 1)) - 1)
    grid = width * (2.0 ** np.arange(1, n + 1) - 1)
    grid = grid[grid < half]
    return np.concatenate([[left], left + grid, [left + half], right - grid[::-1], [right]])
