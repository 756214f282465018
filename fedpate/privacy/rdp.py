"""From Rényi divergences to (epsilon, delta), and back: pure functions, all in log space.

[M17] Mironov, Rényi Differential Privacy, CSF 2017, arXiv:1702.07476, Prop. 3 (classic).
[CKS20] Canonne, Kamath, Steinke, The Discrete Gaussian for Differential Privacy, NeurIPS 2020,
  arXiv:2004.00010, Prop. 12 (improved) = Balle et al., AISTATS 2020, arXiv:1905.09982, Thm. 21.
[BH79] Bretagnolle, Huber: total variation <= sqrt(1 - exp(-KL)), and KL <= RDP of any order > 1.

`orders` are (n_orders,) numbers > 1, whole or not; `rdp` are (n_orders,) divergences >= 0, infinite
where nothing is known. Each function returns the best value over the orders and the order that gave
it. Every order gives a valid bound, so the best one does too.
"""

import math
from collections.abc import Sequence

import numpy as np

from fedpate.records import Floats

# Forty orders per factor of ten in order - 1. The best order of K Gaussian-like releases is about
# 1 + sqrt(log(1/delta) / RDP at order 1), so this serves epsilons from 0.01 to 10,000; the nearest
# order is at most 3 % off, which costs less than 0.05 % of epsilon.
ORDERS: Floats = 1 + np.geomspace(0.01, 1000, 201)
ORDERS.setflags(write=False)


def epsilon_improved(
    orders: Sequence[float] | Floats, rdp: Sequence[float] | Floats, delta: float
) -> tuple[float, float]:
    """Smallest epsilon with (epsilon, delta)-DP by [CKS20] Prop. 12 and [BH79].

    Returns:
      epsilon >= 0 (infinite if every divergence is), and the order attained.

    Raises:
      ValueError: shapes differ, an order <= 1, a negative divergence or NaN, delta not in (0, 1).
    """
    alpha, divergence = _checked(orders, rdp)
    _require_delta(delta)
    epsilons = divergence + np.log1p(-1 / alpha) - (np.log(alpha) + math.log(delta)) / (alpha - 1)
    by_total_variation = -np.expm1(-divergence) < delta * delta
    return _least(np.where(by_total_variation, 0.0, np.maximum(epsilons, 0.0)), alpha)


def epsilon_classic(
    orders: Sequence[float] | Floats, rdp: Sequence[float] | Floats, delta: float
) -> tuple[float, float]:
    """As `epsilon_improved`, by [M17] Prop. 3: what papers before 2020 report."""
    alpha, divergence = _checked(orders, rdp)
    _require_delta(delta)
    return _least(divergence - math.log(delta) / (alpha - 1), alpha)


def delta_improved(
    orders: Sequence[float] | Floats, rdp: Sequence[float] | Floats, epsilon: float
) -> tuple[float, float]:
    """Smallest delta with (epsilon, delta)-DP by [CKS20] Prop. 12 and [BH79].

    Raises:
      ValueError: as `epsilon_improved`, or epsilon negative or NaN.
    """
    alpha, divergence = _checked(orders, rdp)
    if not epsilon >= 0:
        raise ValueError(f"epsilon must be >= 0, got {epsilon}")
    if math.isinf(epsilon):
        return 0.0, float(alpha[0])
    by_moments = (alpha - 1) * (divergence - epsilon + np.log1p(-1 / alpha)) - np.log(alpha)
    with np.errstate(divide="ignore"):  # a divergence of 0 has delta 0
        by_total_variation = 0.5 * np.log(-np.expm1(-divergence))
    log_delta, order = _least(np.minimum(by_moments, by_total_variation), alpha)
    return math.exp(min(log_delta, 0.0)), order


def _checked(
    orders: Sequence[float] | Floats, rdp: Sequence[float] | Floats
) -> tuple[Floats, Floats]:
    # float64 first: whole numbers as Python or numpy integers overflow in the powers elsewhere
    alpha = np.asarray(orders, dtype=np.float64)
    divergence = np.asarray(rdp, dtype=np.float64)
    if alpha.ndim != 1 or alpha.shape != divergence.shape or not len(alpha):
        raise ValueError(
            f"orders and rdp must be 1-D, of one length >= 1, got {alpha.shape}, {divergence.shape}"
        )
    if not (np.isfinite(alpha) & (alpha > 1)).all():
        raise ValueError(f"orders must be finite and > 1, the least is {alpha.min()}")
    if not (divergence >= 0).all():
        raise ValueError(f"rdp must be >= 0 at every order, the least is {divergence.min()}")
    return alpha, divergence


def _require_delta(delta: float) -> None:
    if not 0 < delta < 1:
        raise ValueError(f"delta must be in (0, 1), got {delta}")


def _least(values: Floats, orders: Floats) -> tuple[float, float]:
    best = int(values.argmin())
    return float(values[best]), float(orders[best])
