"""Gaussian noise scaled by smooth sensitivity: what it costs, and how much of it to use.

[P18] Papernot et al., arXiv:1802.08908, Definition 22 and Theorem 23: f + SS * N(0, sigma_ss^2), SS
the beta-smooth sensitivity of f.

Theorem 23, as [P18]'s code applies it (order < 1/(2 beta)), is too small: it bounds the part of the
mean as if the noise of a neighbour were at least sqrt(1/2) as wide as needed. With [P18]'s own
settings (order 14, beta 0.46/14, sigma_ss 6.233) it claims 0.517, while N(0, s^2) against
N(e^-beta s/sigma_ss, e^-2beta s^2), a pair that neighbours can be, has divergence 1.589. `gnss_rdp`
is the exact supremum and what a release pays; `theorem_23` serves comparison with the paper only.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fedpate.privacy.smooth_sensitivity import smooth_sensitivity
from fedpate.records import Floats

_BETAS = np.arange(0.02, 0.495, 0.02)  # times 1/order
_PUBLISHED_BETAS = np.arange(0.3, 0.495, 0.01)  # the grid of [P18]'s code


@dataclass(frozen=True)
class Settings:
    """Public parameters of one release; beta = 0 and infinite noise where f is constant."""

    order: float
    beta: float
    sigma_ss: float  # standard deviation, in smooth sensitivities


def gnss_rdp(beta: float, sigma_ss: float, order: float) -> float:
    """The exact Rényi cost of releasing f + SS * N(0, sigma_ss^2).

    For neighbours with smooth sensitivities 1 and e^g, |g| <= beta, f differs by at most
    min(1, e^g), and with sigma = sigma_ss the divergence of the two Gaussians is
        order min(1, e^g)^2 / (2 sigma^2 v) + (2 order g - log v) / (2 (order - 1)),
        v = 1 - order + order e^(2 g),
    which is largest at g = -beta: the first term falls with g, the second has its minimum at 0 and
    rises faster on the left.

    Raises:
      ValueError: order is not > 1 with v > 0 at g = -beta: the divergence is infinite.
    """
    if beta == 0 and math.isinf(sigma_ss):
        return 0.0  # f is constant: nothing is revealed
    v = 1 + order * math.expm1(-2 * beta)
    if not (order > 1 and v > 0):
        raise ValueError(
            "order must be in (1, 1/(1 - exp(-2 beta))) for a finite cost, "
            f"got order={order:g}, beta={beta:g}"
        )
    mean = order * math.exp(-2 * beta) / (2 * sigma_ss * sigma_ss * v)
    return mean + (-2 * order * beta - math.log(v)) / (2 * (order - 1))


def theorem_23(beta: float, sigma_ss: float, order: float) -> float:
    """The cost that [P18] Theorem 23 states. Too small: see the module.

    Raises:
      ValueError: order is not in (1, 1/(2 beta)).
    """
    if not (order > 1 and 2 * order * beta < 1):
        raise ValueError(f"order must be in (1, 1/(2 beta)), got order={order:g}, beta={beta:g}")
    moments = -math.log1p(-2 * order * beta) / 2 + beta * order
    return order * math.exp(2 * beta) / (sigma_ss * sigma_ss) + moments / (order - 1)


def best_settings(local: Floats, order: float) -> tuple[float, Settings]:
    """The least cost plus two standard deviations, and the settings that reach it.

    Args:
      local: (n_teachers + 1,) local sensitivities within distance 0, 1, ...
      order: of the divergence that is released.
    """

    def scale(beta: float, smooth: float) -> float:  # least A / sigma^2 + 2 smooth sigma
        v = 1 + order * math.expm1(-2 * beta)
        return float((order * math.exp(-2 * beta) / (2 * v) / smooth) ** (1 / 3))

    betas = [beta for beta in _BETAS / order if 1 + order * math.expm1(-2 * beta) > 0]
    return _best(local, order, betas, scale, gnss_rdp)


def published_settings(local: Floats, order: float) -> tuple[float, Settings]:
    """As `best_settings`, by Theorem 23 on the grid of [P18]'s code."""

    def scale(beta: float, smooth: float) -> float:
        return float((order * math.exp(2 * beta) / smooth) ** (1 / 3))

    return _best(local, order, (_PUBLISHED_BETAS / order).tolist(), scale, theorem_23)


def _best(
    local: Floats,
    order: float,
    betas: list[float],
    scale: Callable[[float, float], float],
    cost: Callable[[float, float, float], float],
) -> tuple[float, Settings]:
    if not local.any():
        return 0.0, Settings(order, 0.0, math.inf)
    candidates = []
    for beta in betas:
        smooth = float(smooth_sensitivity(local, beta))
        sigma_ss = scale(beta, smooth)
        total = cost(beta, sigma_ss, order) + 2 * smooth * sigma_ss
        candidates.append((total, Settings(order, float(beta), sigma_ss)))
    return min(candidates, key=lambda candidate: candidate[0])
