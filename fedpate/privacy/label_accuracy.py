"""How often the noisy arg max is the right class, for many histograms at once.

With score = votes + scale * X and gaps d_i = (right votes - votes for class i) / scale,
    Pr[right] = E over X of prod_i F(X + d_i),
F the distribution of X. One quadrature rule serves all histograms: the noise around the right
class is its variable. `exact_laws` has the law of every class of one histogram, to more digits.
"""

from collections.abc import Callable, Mapping

import numpy as np
from scipy import special

from fedpate.privacy.vote_model import VoteSample
from fedpate.records import Floats, Ints

_CELLS = 1 << 21  # evaluated at once: bounds memory at some 50 MB


def _gaussian(gaps: Floats, times: Ints) -> Floats:
    x = np.linspace(-7.0, 7.0, 36)  # trapezoid rule: exponentially accurate
    weights = np.exp(-x * x / 2) / np.sqrt(2 * np.pi) * (x[1] - x[0])
    return np.asarray(_product(special.ndtr(gaps[:, :, None] + x), times) @ weights)


def _laplace(gaps: Floats, times: Ints) -> Floats:
    u, weights = _unit_rule(64)
    log_u = np.log(u)
    x = np.concatenate([log_u, -log_u])
    z = gaps[:, :, None] + x
    tail = np.exp(-np.abs(z)) / 2
    below = _product(np.where(z > 0, 1 - tail, tail), times)
    return np.asarray(below @ np.concatenate([weights, weights]) / 2)


def _gumbel(gaps: Floats, times: Ints) -> Floats:
    """The exponential mechanism: a softmax over the votes."""
    return np.asarray(special.expit(-special.logsumexp(-gaps, b=times, axis=1)))


def _exponential(gaps: Floats, times: Ints) -> Floats:
    """Permute and flip: beyond the largest count a polynomial in exp(-X), by Gauss's rule."""
    lead = np.maximum(-gaps.min(axis=1), 0.0)  # how much noise the right class needs at the least
    u, weights = _unit_rule(64)
    reached = np.exp(-(lead[:, None] + gaps))
    return np.asarray(np.exp(-lead) * (_product(1 - reached[:, :, None] * u, times) @ weights))


_LAWS: Mapping[str, Callable[[Floats, Ints], Floats]] = {
    "gnmax": _gaussian,
    "confident": _gaussian,
    "laplace": _laplace,
    "gumbel": _gumbel,
    "permute_and_flip": _exponential,
}


def right_probabilities(mechanism: str, sample: VoteSample, noise_scale: float) -> Floats:
    """Pr[the label is the right class], given that there is one.

    Args:
      mechanism: name of the noisy arg max.
      sample: n_sample histograms.
      noise_scale: in votes.

    Returns:
      (n_sample,) probabilities; absolute error below 1e-4 (Laplace) or 1e-9 (up to 100 classes).
    """
    gaps = (sample.right[:, None] - sample.others) / noise_scale
    law, step = _LAWS[mechanism], max(1, _CELLS // (gaps.shape[1] * 128))
    blocks = [slice(start, start + step) for start in range(0, len(gaps), step)]
    return np.concatenate([law(gaps[rows], sample.times[rows]) for rows in blocks])


def _product(below: Floats, times: Ints) -> Floats:
    """(n_sample, n_columns, n_nodes) -> (n_sample, n_nodes), each column `times` over."""
    if (times == 1).all():
        return np.asarray(below.prod(axis=1))
    return np.asarray((below ** times[:, :, None]).prod(axis=1))


def _unit_rule(n: int) -> tuple[Floats, Floats]:
    """Gauss-Legendre nodes and weights on (0, 1)."""
    x, weights = np.polynomial.legendre.leggauss(n)
    return (x + 1) / 2, weights / 2
