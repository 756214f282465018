"""What one piece of an event costs, three ways: as a Gaussian, as pure DP, as a Rényi curve.

A moved vote leaves one class and joins another: L-infinity 1, L1 2, L2 sqrt(2) per vote; the
largest count, which a threshold looks at, moves by at most 1. A unit that moves v votes moves them
all at once: v times these ([events]), not a v-fold group composition.
"""

import math
from functools import lru_cache

from fedpate.privacy import argmax_bound, curves
from fedpate.privacy.events import (
    BoundedRange,
    GaussianVotes,
    LaplaceVotes,
    NoisyArgmax,
    NoisyThreshold,
    Piece,
    PureDp,
)
from fedpate.privacy.rdp import ORDERS
from fedpate.records import Floats

GAUSSIAN = (NoisyArgmax, NoisyThreshold, GaussianVotes)


def gaussian_mu(piece: Piece) -> float | None:
    """L2 sensitivity over standard deviation, if the piece is (post-processing of) a Gaussian."""
    match piece:
        case NoisyArgmax(scale, moved) | GaussianVotes(scale, moved):
            return math.sqrt(2) * moved / scale
        case NoisyThreshold(scale, moved):
            return moved / scale
    return None


def pure_epsilon(piece: Piece) -> float:
    """The bound on every log-likelihood ratio; infinite if there is none."""
    match piece:
        case LaplaceVotes(scale, moved):
            return 2 * moved / scale
        case BoundedRange(eta):
            return eta
        case PureDp(epsilon):
            return epsilon
    return math.inf


@lru_cache(maxsize=4096)
def rdp(piece: Piece) -> Floats:
    """(n_orders,) the tightest Rényi divergence bound we have, at `rdp.ORDERS`. Read-only."""
    curve = _rdp(piece)
    curve.setflags(write=False)
    return curve


def _rdp(piece: Piece) -> Floats:
    match piece:
        case NoisyArgmax(scale, moved):
            return argmax_bound.argmax_rdp(scale, moved)
        case NoisyThreshold(scale, moved):
            return argmax_bound.threshold_rdp(scale, moved)
        case LaplaceVotes(scale, moved):  # two coordinates
            return 2 * curves.laplace(moved / scale, ORDERS)
        case BoundedRange(eta):
            return curves.bounded_range(eta, ORDERS)
        case PureDp(epsilon):
            return curves.pure(epsilon, ORDERS)
        case GaussianVotes():
            return curves.gaussian(gaussian_mu(piece) or 0.0, ORDERS)
    return ORDERS * math.inf
