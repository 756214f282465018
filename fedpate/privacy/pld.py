"""(epsilon, delta) of mixed pieces by dp_accounting's privacy loss distributions: an upper bound.

[DGKKM22] Doroshenko et al., Connect the Dots, PETS 2022, arXiv:2207.04380: every distribution here
dominates the true one (pessimistic estimate), and composition keeps that. [DRS22] Dong, Roth, Su,
arXiv:1905.02383, Thm. 4: dominating each step dominates the adaptive composition.

  Gaussian pieces  one Gaussian with mu^2 = the sum over all ([DRS22] Cor. 1)
  LaplaceVotes     two Laplace coordinates, each moved by votes_moved; a move spread over several
                   classes is dominated by one concentrated in two (docs/proof-argmax-only.md, 10)
  PureDp           randomized response; BoundedRange(eta) is at least eta-DP and enters as that

dp_accounting's PLDAccountant is not used: its REPLACE_ONE would double a sensitivity that already
counts a replacement, and it forgets the count of randomized-response events.
"""

import math
from collections.abc import Iterable
from functools import lru_cache, reduce
from typing import Any

import numpy as np
from dp_accounting.pld import common
from dp_accounting.pld import privacy_loss_distribution as distributions

from fedpate.privacy import costs
from fedpate.privacy.events import LaplaceVotes, Piece
from fedpate.privacy.rdp import ORDERS, epsilon_improved

_CELLS = 2**17  # losses per distribution: 0.05 s, and a relative error of epsilon below 1e-4
_LARGEST_LOSS = 500.0  # of one piece; e^loss must fit in float64
_COARSEST = 1.0  # a cell; beyond it (epsilons of 10,000) rounding costs more than it gains
_TAIL = 1e-15  # probability that dp_accounting moves to an infinite loss, per composition
# Probability that float64 and the FFT may misplace: per composed step, as z**n has n times the
# error of z. Paid out of delta; negligible beside any delta worth stating.
_ROUNDING = 1e-13


@lru_cache(maxsize=1024)
def epsilon(pieces: tuple[tuple[Piece, int], ...], delta: float) -> float:
    """Least epsilon found for `delta`; infinite where the method does not reach.

    It does not reach below delta of about 1e-12, or above a loss of 500 in one piece: there the
    Rényi and the pure bounds are as good.
    """
    losses = [costs.pure_epsilon(piece) for piece, _ in pieces if _is_pure(piece)]
    steps = sum(2 * count for _, count in pieces)
    usable = delta - _ROUNDING * (10 + steps)
    if usable <= 0 or max(losses, default=0.0) > _LARGEST_LOSS:
        return math.inf
    interval = _interval(pieces, losses)
    if not 0 < interval < _COARSEST:
        return math.inf
    return float(_composed(pieces, interval).get_epsilon_for_delta(usable))


def _is_pure(piece: Piece) -> bool:
    return math.isfinite(costs.pure_epsilon(piece))


def _interval(pieces: Iterable[tuple[Piece, int]], losses: list[float]) -> float:
    """Cell width such that all losses but a tail of 1e-15 fit into `_CELLS`."""
    curve = sum((costs.rdp(piece) * count for piece, count in pieces), np.zeros(len(ORDERS)))
    by_moments, _ = epsilon_improved(ORDERS, curve, _TAIL)
    by_sum = sum(costs.pure_epsilon(piece) * count for piece, count in pieces)
    width = 2 * min(by_moments, by_sum) / _CELLS
    smallest = min((loss for loss in losses if loss > 0), default=0.0)
    if smallest <= width:
        return width
    # a whole number of cells per loss, a hair more, so that rounding up adds no cell
    return smallest / math.ceil(smallest / width) * (1 + 1e-12)


def _composed(pieces: Iterable[tuple[Piece, int]], interval: float) -> Any:
    parts, mu_squared = [], 0.0
    for piece, count in pieces:
        mu = costs.gaussian_mu(piece)
        if mu is not None:
            mu_squared += count * mu * mu
        elif costs.pure_epsilon(piece) == 0:
            continue
        elif isinstance(piece, LaplaceVotes):
            laplace = distributions.from_laplace_mechanism(
                piece.noise_scale,
                sensitivity=piece.votes_moved,
                value_discretization_interval=interval,
            )
            parts.append(laplace.self_compose(2 * count, _TAIL))
        else:
            bit = distributions.from_privacy_parameters(
                common.DifferentialPrivacyParameters(costs.pure_epsilon(piece), 0.0), interval
            )
            parts.append(bit.self_compose(count, _TAIL))
    if mu_squared > 0:
        parts.append(
            distributions.from_gaussian_mechanism(
                1.0, sensitivity=math.sqrt(mu_squared), value_discretization_interval=interval
            )
        )
    return reduce(lambda left, right: left.compose(right, _TAIL), parts)
