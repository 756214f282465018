"""Rényi divergence of what leaves, not of what it was computed from: the arg max, the bit."""

import math

from fedpate.privacy import curves
from fedpate.privacy.rdp import ORDERS
from fedpate.records import Floats


def argmax_rdp(noise_scale: float, votes_moved: int) -> Floats:
    """(n_orders,) bound for the noisy arg max alone, at `rdp.ORDERS`."""
    return curves.gaussian(math.sqrt(2) * votes_moved / noise_scale, ORDERS)


def threshold_rdp(noise_scale: float, votes_moved: int) -> Floats:
    """(n_orders,) bound for the threshold's bit alone, at `rdp.ORDERS`."""
    return curves.gaussian(votes_moved / noise_scale, ORDERS)
