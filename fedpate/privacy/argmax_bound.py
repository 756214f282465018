"""Rényi divergence of what leaves, not of what it was computed from: the arg max, the bit.

A coordinator that adds N(0, sigma^2) to every count and releases the winner only does not release
the noisy counts; its divergence is about 0.64 of the Gaussian mechanism's order/sigma^2 while
order/sigma is small, and tends to it when order/sigma > 3. docs/proof-argmax-only.md is the proof,
`fedpate.privacy.certificate` the certified supremum, and the table here its values.

Not for anyone who sees noisy counts: secure aggregation, several shares, a released histogram.
Those are `GaussianVotes`. Not for a unit that moves more than one vote: those get the Gaussian
bound; the bit's bound holds for any move.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np

from fedpate.privacy import curves
from fedpate.privacy.rdp import ORDERS
from fedpate.records import Floats

TABLE = Path(__file__).parent / "tables" / "argmax.npz"
UNIT = 2e-5  # of the table's entries: 1 / UNIT is the Gaussian mechanism


def argmax_rdp(noise_scale: float, votes_moved: int) -> Floats:
    """(n_orders,) bound at `rdp.ORDERS` for the noisy arg max alone.

    Args:
      noise_scale: standard deviation of the Gaussian noise on each count, in votes; > 0.
      votes_moved: votes that the unit can move; the table serves 1.
    """
    gaussian = curves.gaussian(2**0.5 * votes_moved / noise_scale, ORDERS)
    if votes_moved != 1:
        return gaussian
    return np.minimum(gaussian, _from_table("argmax", 1 / noise_scale))


def threshold_rdp(noise_scale: float, votes_moved: int) -> Floats:
    """(n_orders,) bound at `rdp.ORDERS` for the bit [statistic + noise >= threshold] alone.

    Args:
      noise_scale: standard deviation of the Gaussian noise, in votes; > 0.
      votes_moved: how far the unit can move the statistic, in votes.
    """
    mu = votes_moved / noise_scale
    return np.minimum(curves.gaussian(mu, ORDERS), _from_table("bit", mu / 2**0.5))


def _from_table(kind: str, shift: float) -> Floats:
    """(n_orders,) certified divergence for a shift; infinite beyond the table.

    K = (order - 1) D grows with the shift s, and K + order s^2 is convex in it, so K lies below its
    value at the next shift in the table and below its chord plus order (s - near) (far - s)
    (docs/proof-argmax-only.md, 8).
    """
    shifts, moments = _table(kind)
    right = int(np.searchsorted(shifts, shift, side="right"))
    if right == len(shifts):
        return np.full(len(ORDERS), np.inf)
    bound = moments[:, right]
    if right > 0:
        near, far = shifts[right - 1], shifts[right]
        weight = (shift - near) / (far - near)
        chord = moments[:, right - 1] * (1 - weight) + np.where(weight > 0, bound * weight, 0)
        bound = np.minimum(bound, chord + ORDERS * (shift - near) * (far - shift))
    return np.asarray(bound / (ORDERS - 1))


@lru_cache(maxsize=2)
def _table(kind: str) -> tuple[Floats, Floats]:
    """(n_shifts,) shifts and (n_orders, n_shifts) suprema of K, never falling along a row."""
    with np.load(TABLE, allow_pickle=False) as table:
        shifts, entries = table["shifts"], table[kind].astype(np.float64)
    moments = entries * UNIT * (ORDERS * (ORDERS - 1))[:, None] * shifts**2
    moments[entries == 0] = np.inf
    # left of a row's range its first entry serves; right of it nothing does
    return shifts, np.minimum.accumulate(moments[:, ::-1], axis=1)[:, ::-1]
