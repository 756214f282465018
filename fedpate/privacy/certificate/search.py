"""The search for the supremum: boxes are split until their proven error is small [5].

K(a, b) = (order - 1) D_order of the law after the move from the law before. Over a box K is at most
its largest value at a corner plus an error of second order in the sides, for which there are two
forms; outside the boxes closed bounds hold [6].
"""

from dataclasses import dataclass

import numpy as np
from scipy import special

from fedpate.privacy.certificate.boxes import A_MAX, B_MAX, UV_MIN, Boxes, corners
from fedpate.privacy.certificate.laws import SQRT2, changes, curvatures
from fedpate.records import Floats

LARGEST = 4.0  # order * s; beyond it the Gaussian bound is at most 12 % larger
ROUND_UP = 1e-9  # relative; quadrature, special functions and sums are good to 1e-11
_TINY = 1e-300  # stands for a probability that float64 cannot hold
_SMALLEST = -1 + 2.0**-53  # P/Q - 1 where P is below the rounding of Q


def _relative_changes(boxes: Boxes, s: float) -> Floats:
    """(3, 4, n) P/Q - 1 at the corners: P after the move, Q before."""
    a, b = corners(boxes.edges)
    ratios = changes(a, b, SQRT2 * s) / np.maximum(boxes.laws, _TINY)
    return np.maximum(ratios, _SMALLEST)


def _moment_terms(ratio_minus_1: Floats, order: Floats) -> Floats:
    """F(1 + y) = (1 + y)^order - 1 - order y, which is >= 0 and convex."""
    return np.asarray(np.expm1(order * np.log1p(ratio_minus_1)) - order * ratio_minus_1)


def _perspective_error(boxes: Boxes, s: float, order: Floats) -> Floats:
    """(orders, n) error of the moment by interpolating the laws, which it is convex in."""
    edges, delta = boxes.edges, SQRT2 * s
    left, right, low, high = edges
    wide, tall = (right - left) ** 2 / 8, (high - low) ** 2 / 8
    aa, bb, _, _ = curvatures(edges)
    at_start = wide * aa + tall * bb
    aa, bb, _, _ = curvatures(np.stack([left - delta, right - delta, low, high]))
    at_end = wide * aa + tall * bb
    _, _, aaa, abb = curvatures(np.stack([left - delta, right, low, high]))
    of_change = np.minimum(delta * (wide * aaa + tall * abb), at_start + at_end)

    smallest, largest = _ratio_ranges(boxes, s)
    error = np.zeros((len(order), edges.shape[1]))
    for outcome in range(3):
        least, most = np.log1p(smallest[outcome]), np.log1p(largest[outcome])
        slope = order * np.maximum(np.expm1((order - 1) * most), -np.expm1((order - 1) * least))
        bend = order * (order - 1) / 2
        growth = np.maximum(
            largest[outcome] ** 2 * np.exp(np.maximum(0, (order - 2) * most)),
            smallest[outcome] ** 2 * np.exp(np.maximum(0, (order - 2) * least)),
        )
        error += slope * of_change[outcome] + bend * growth * at_start[outcome]
    return error


def _ratio_ranges(boxes: Boxes, s: float) -> tuple[Floats, Floats]:
    """(3, n) least and largest P/Q - 1 over each box, by monotonicity [4]."""
    left, right, low, high = boxes.edges
    ratios = _relative_changes(boxes, s)
    u_low, v_low = (left + low) / SQRT2, (low - right) / SQRT2
    u_high, v_high = (right + high) / SQRT2, (high - left) / SQRT2

    def other(u: Floats, v: Floats) -> Floats:
        gain = special.log_ndtr(s - u) - special.log_ndtr(-u)
        return np.asarray(np.expm1(gain + special.log_ndtr(-v - s) - special.log_ndtr(-v)))

    least = np.stack([ratios[0, 0], ratios[1, 1], other(u_low, v_high)])
    most = np.stack([ratios[0, 3], ratios[1, 2], other(u_high, v_low)])
    return np.maximum(least, _SMALLEST), np.maximum(most, _SMALLEST)


def _bounds(boxes: Boxes, s: float, orders: Floats) -> tuple[Floats, Floats]:
    """K at the best corner of each box, and an upper bound over each box; (orders, n) both."""
    order = orders[:, None]
    ratios = _relative_changes(boxes, s)
    moments = np.zeros((4, len(orders), boxes.edges.shape[1]))
    for outcome in range(3):
        for corner in range(4):
            weight = boxes.laws[outcome, corner]
            moments[corner] += weight * _moment_terms(ratios[outcome, corner], order)
    moment = moments.max(axis=0)
    value = np.log1p(moment)
    left, right, low, high = boxes.edges
    wide, tall = (right - left) ** 2 / 8, (high - low) ** 2 / 8
    skew = (order - 1) * SQRT2 * s
    by_logarithm = value + (wide + tall) * (1 + 2 * skew)
    if ((orders - 1) * s > 1).all():  # there the other form is never better
        return value, by_logarithm
    by_perspective = np.log1p(moment + _perspective_error(boxes, s, order))
    return value, np.minimum(by_logarithm, by_perspective)


def supremum(boxes: Boxes, s: float, orders: Floats, gap: float) -> tuple[Floats, Boxes]:
    """Certified sup of K over the boxes' region, per order, and the boxes that prove it.

    Args:
      boxes: a cover of the region, coarse or from a similar `s`.
      s: shift in standard deviations.
      orders: (n_orders,) with `orders * s <= LARGEST`.
      gap: relative distance to the largest value found at which splitting stops.

    Returns:
      (n_orders,) upper bounds, and the refined boxes.
    """
    while True:
        value, bound = _bounds(boxes, s, orders)
        too_wide = bound > value.max(axis=1, keepdims=True) * (1 + gap)
        if not too_wide.any():
            return bound.max(axis=1) * (1 + ROUND_UP), boxes
        boxes = boxes.refine(too_wide.any(axis=0))


@dataclass
class Covers:
    """Boxes of the plane and of the line b = infinity, kept from one shift to the next."""

    plane: Boxes
    line: Boxes


def certify(s: float, orders: Floats, gap: float, covers: Covers) -> tuple[Floats, Floats]:
    """Upper bounds on (order - 1) D_order for one shift [5, 6, 7]; refines `covers`.

    Args:
      s: how far one class's count moves, in standard deviations of its noise.
      orders: (n_orders,) with `orders * s <= LARGEST`.
      gap: relative precision.
      covers: from `cover_plane` and `cover_line`, or left by a similar call.

    Returns:
      (n_orders,) for the arg max when A's count falls and B's rises by s, and (n_orders,) for one
      bit of one count that moves by sqrt2 s.
    """
    line, covers.line = supremum(covers.line, s, orders, gap)
    plane, covers.plane = supremum(covers.plane, s, orders, gap)
    bit = np.maximum(line, _outside_line(s, orders))
    return np.maximum(plane, _outside_plane(s, orders, bit)), bit


def _outside_line(s: float, orders: Floats) -> Floats:
    """|a| > A_MAX: one of the two outcomes has almost no probability [6]."""
    moment = orders * (orders - 1) * s * s
    rare = special.ndtr(orders * SQRT2 * s - A_MAX)
    surely = -(orders - 1) * np.log1p(-special.ndtr(-A_MAX))
    return np.asarray(np.exp(moment) * rare + surely + special.ndtr(-A_MAX))


def _outside_plane(s: float, orders: Floats, bit: Floats) -> Floats:
    """The four unbounded parts of the plane [6]."""
    moment = orders * (orders - 1) * s * s
    grown = np.exp(moment)
    b_rare = moment / 2 + grown * special.ndtr(
        np.maximum(orders * s + UV_MIN, orders * SQRT2 * s - A_MAX)
    )
    tail = special.ndtr(UV_MIN)
    a_rare = moment / 2 - (orders - 1) * np.log1p(-tail) + tail
    both = special.ndtr(-SQRT2 * A_MAX - UV_MIN)
    all_b = -(orders - 1) * np.log1p(-special.ndtr(-A_MAX) - both)
    all_b = all_b + special.ndtr(-A_MAX) + grown * both
    erased = special.ndtr(-B_MAX)
    two_classes = bit + (orders - 1) * np.log1p(erased / (1 - erased)) + grown * erased
    return np.asarray(np.max([b_rare, a_rare, all_b, two_classes], axis=0) * (1 + ROUND_UP))
