"""DP-SGD under replace-one: how much noise a training needs, from public numbers only.

One training takes T steps. In each, every record is in the batch with probability q, independently
of all others and of all other steps (Poisson sampling); its gradient is clipped to L2 norm C; and
N(0, (sigma C)^2 I) is added to the sum ([ACG16]). The model is post-processing of the T noisy sums.
q, T, sigma and C are fixed beforehand, from the number of records at most.

Claim. Replacing one record by another is (epsilon, delta)-DP whenever `delta(...)` says so; it is
the smaller of two bounds. Write M(D) for the noisy sums of a training on records D.

1. Group of two. Let D be the other records, x the one that is replaced by y. M(D + x) against M(D)
   is the case of one record removed, M(D) against M(D + y) of one added. With q, T, sigma and C
   held fixed, both are dominated by the T-fold composition of the Poisson-sampled Gaussian of
   sensitivity 1 and noise sigma, each in its direction ([ZDW22]; dp_accounting's privacy loss
   distributions, pessimistic). Let d(e) be the larger of the two hockey-stick divergences at e. For
   every event S and every e1 + e2 = epsilon

       Pr[M(D+x) in S] <= e^e1 Pr[M(D) in S] + d(e1)
                       <= e^e1 (e^e2 Pr[M(D+y) in S] + d(e2)) + d(e1),

   so M is (epsilon, d(e1) + e^e1 d(e2))-DP between D + x and D + y. The best e1 of a grid is taken.
   (The one-step pair that would give more, a mean moved from one side to the other, is not known to
   dominate under composition [LRKS25], and is not used.)
2. No amplification. Draw all coins beforehand: they do not depend on what a record holds. Given
   them, x and y are in the same K of the T batches, K ~ Binomial(T, q), and each such step is a
   Gaussian of sensitivity 2: together mu = 2 sqrt(K) / sigma ([DRS22], Cor. 1). The hockey-stick
   divergence is jointly convex, so that of the mixture is at most the mean over K. With q = 1 this
   is exact, and below the group's price.

[ACG16] Abadi et al., Deep Learning with Differential Privacy, CCS 2016, arXiv:1607.00133.
[DRS22] Dong, Roth, Su, Gaussian Differential Privacy, JRSS B 2022, arXiv:1905.02383.
[ZDW22] Zhu, Dong, Wang, Optimal Accounting of DP via Characteristic Function, AISTATS 2022.
[LRKS25] Lebeda, Regehr, Kamath, Steinke, Avoiding Pitfalls for Privacy Accounting of Subsampled
    Mechanisms under Composition, SaTML 2025, arXiv:2405.20769.

What is not covered: float32 sums and float64 noise instead of real numbers, as in all DP-SGD.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from dp_accounting.pld import privacy_loss_distribution as distributions
from scipy import optimize, stats

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.privacy import gaussian

_INTERVAL = 1e-3  # of privacy losses in a distribution, which errs upwards
_SPLITS = 33  # values of e1 / epsilon that are tried
_SMALLEST, _LARGEST = 0.2, 2.0**20  # noise multipliers that are considered
_ACCURACY = 1e-3  # relative, of a noise multiplier; rounded up
_MOST = 500.0  # of epsilon to the group's bound, whose exponential would overflow


@lru_cache(maxsize=64)
def _removal_or_addition(sigma: float, q: float, steps: int) -> Any:
    """The privacy loss of adding or removing one record, composed over all steps."""
    one = distributions.from_gaussian_mechanism(
        sigma, value_discretization_interval=_INTERVAL, sampling_prob=q
    )
    return one.self_compose(steps)


def delta(sigma: float, q: float, steps: int, epsilon: float) -> float:
    """An upper bound on delta at `epsilon`, replace-one: the smaller of the header's two.

    Args:
      sigma: noise multiplier, the standard deviation over the clipping norm; > 0.
      q: probability that a record is in a batch, in (0, 1].
      steps: >= 1.
      epsilon: >= 0.
    """
    return min(_by_group(sigma, q, steps, epsilon), _unamplified(sigma, q, steps, epsilon))


def noise_multiplier(target_epsilon: float, delta_: float, q: float, steps: int) -> float:
    """The least sigma whose training is (target_epsilon, delta_)-DP, within 0.1 %, rounded up.

    Raises:
      ConfigError: no noise up to a million clipping norms is enough.
    """
    _check.positive(**{"teacher.target_epsilon": target_epsilon})
    _check.open_unit(**{"teacher.delta": delta_})
    return _noise_multiplier(target_epsilon, delta_, q, steps)


@lru_cache(maxsize=1024)
def _noise_multiplier(target_epsilon: float, delta_: float, q: float, steps: int) -> float:
    def excess(log_sigma: float) -> float:
        found = delta(math.exp(log_sigma), q, steps, target_epsilon)
        return math.log(max(found, 1e-300) / delta_)

    high = 1.0
    while excess(math.log(high)) > 0:
        high *= 2
        if high > _LARGEST:
            raise ConfigError(
                f"teacher.target_epsilon={target_epsilon:g} is out of reach: no noise is enough "
                f"at teacher.delta={delta_:g}"
            )
    low = high / 2
    while excess(math.log(low)) <= 0 and low > _SMALLEST:
        low, high = low / 2, low
    if low <= _SMALLEST:
        return high
    root: float = optimize.brentq(excess, math.log(low), math.log(high), xtol=_ACCURACY / 4)
    sigma = math.exp(root)
    while excess(math.log(sigma)) > 0:
        sigma *= 1 + _ACCURACY / 4
    return sigma


def _by_group(sigma: float, q: float, steps: int, epsilon: float) -> float:
    first = np.linspace(0.0, min(epsilon, _MOST), _SPLITS)  # delta falls as epsilon grows
    losses = _removal_or_addition(sigma, q, steps)
    found = np.array([losses.get_delta_for_epsilon(float(value)) for value in first])
    return float(np.min(found + np.exp(first) * found[::-1]))


def _unamplified(sigma: float, q: float, steps: int, epsilon: float) -> float:
    counts = np.arange(steps + 1)
    weights = stats.binom.pmf(counts, steps, q)
    likely = np.flatnonzero(weights > 1e-16 / (steps + 1))
    deltas = [gaussian.delta(2 * math.sqrt(k) / sigma, epsilon) for k in likely]
    return float(weights[likely] @ np.array(deltas)) + 1e-16  # the counts left out
