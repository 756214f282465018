"""Local sensitivities of the PATE 2018 bounds: what one vote can change in them, near the votes.

[P18] Papernot et al., arXiv:1802.08908, Appendix B: Algorithms 3 to 5, Props. 13, 14 and 19.

beta(q) is Theorem 6 below q_0 and Proposition 8 above it, at one order. A moved vote keeps q within
[B_L(q), B_U(q)]; in x = Phi^-1(1 - q/(m-1)), the standardised gap of a histogram whose m - 1 losers
are all equal, both are a shift by sqrt(2)/sigma. q_1 = B_L(q_0). Conditions of [P18], checked here:
  C5  beta increases on (0, q_0];
  C6  beta(B_U(q)) - beta(q) increases on (0, q_1].

Arrays are (n_queries, n_teachers + 1): the sensitivity within distance d = 0, 1, ..., n_teachers.
NOT RELEASABLE: a local sensitivity looks at the votes.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from fedpate.privacy.pate_bounds import (
    gnmax_log_q,
    gnmax_rdp_independent,
    theorem_6,
    theorem_6_applies,
    threshold_rdp,
)
from fedpate.records import Floats, Ints

_GRID = 4000  # points at which C5 and C6 are checked
_BLOCK = 512  # histograms walked at a time


@dataclass(frozen=True)
class GnmaxCurve:
    """beta(q) of GNMax at one order, with the points where its regime changes."""

    sigma: float
    order: float
    n_classes: int

    @functools.cached_property
    def log_q0(self) -> float:
        """Where Theorem 6 meets Proposition 8.

        Raises:
          ValueError: there is no such point: Theorem 6 never applies at this order.
        """
        # [P18]'s bounds on q that make every condition of Theorem 6 hold at this order
        high = -(max(1 + 1 / self.sigma, (self.order - 0.99) / self.sigma, 1 / self.sigma) ** 2)
        if not theorem_6_applies(np.array([high]), self.sigma)[0]:
            raise ValueError(f"Theorem 6 does not apply at order {self.order:g}")
        if self._excess(high) < 0:
            return high
        low = 2 * high
        while self._excess(low) > 0:
            low *= 1.5
            if low < -1e9:
                raise ValueError(f"Theorem 6 is never the smaller bound at order {self.order:g}")
        return float(optimize.brentq(self._excess, low, high, xtol=1e-13))

    @functools.cached_property
    def log_q1(self) -> float:
        """B_L(q_0): from here a moved vote can reach Proposition 8."""
        return float(self.lower(np.array([self.log_q0]))[0])

    @property
    def _independent(self) -> float:
        return float(gnmax_rdp_independent(self.sigma, self.order)[0])

    def _excess(self, log_q: float) -> float:
        bound = theorem_6(np.array([log_q]), self.sigma, np.array([self.order]))[0, 0]
        return min(float(bound), 1e300) - self._independent

    def rdp(self, log_q: Floats) -> Floats:
        """beta(q), of the shape of `log_q`; the function whose value is released."""
        result = np.full(log_q.shape, self._independent)
        below = log_q < self.log_q0
        finite = below & np.isfinite(log_q)
        result[below] = 0.0
        result[finite] = theorem_6(log_q[finite], self.sigma, np.array([self.order]))[:, 0]
        return result

    def upper(self, log_q: Floats) -> Floats:
        """log B_U(q): no vote moves q above it ([P18] Prop. 13)."""
        return np.minimum(self._shifted(log_q, -1), 0.0)

    def lower(self, log_q: Floats) -> Floats:
        """log B_L(q): no vote moves q below it."""
        return self._shifted(log_q, 1)

    def _shifted(self, log_q: Floats, votes: int) -> Floats:
        log_losers = math.log(self.n_classes - 1)
        x = -special.ndtri_exp(np.minimum(log_q - log_losers, -1e-300))
        return np.asarray(log_losers + special.log_ndtr(-(x + votes * math.sqrt(2) / self.sigma)))

    def sensitivity(self, log_q: Floats) -> Floats:
        """By how much a vote can change beta at q ([P18] Algorithm 3, Prop. 13)."""
        here = self.rdp(log_q)
        change = np.maximum(self.rdp(self.upper(log_q)) - here, here - self.rdp(self.lower(log_q)))
        middle = (self.log_q1 <= log_q) & (log_q <= self.log_q0)
        return np.where(middle, self.plateau, change)

    @functools.cached_property
    def plateau(self) -> float:
        """The sensitivity on [q_1, q_0], the largest one under C6.

        beta may jump at q_0, which rounding would miss in B_U(q_1): Prop. 8 is named instead.
        """
        q1 = np.array([self.log_q1])
        here = self.rdp(q1)
        return float(max(self._independent - here[0], (here - self.rdp(self.lower(q1)))[0]))

    def broken_condition(self, n_teachers: int) -> str | None:
        """Why [P18]'s bound is not proven for this many teachers, in words; None if it is.

        C5 and C6 are checked on a fine grid over all q that so many teachers can produce.
        """
        try:
            start = -special.ndtri_exp(self.log_q0 - math.log(self.n_classes - 1))
        except ValueError as error:
            return str(error)
        shift = math.sqrt(2) / self.sigma
        x = np.linspace(start, n_teachers / (math.sqrt(2) * self.sigma) + shift, _GRID)
        log_q = math.log(self.n_classes - 1) + special.log_ndtr(-x)
        beta = self.rdp(np.minimum(log_q, np.nextafter(self.log_q0, -np.inf)))
        at = f"at sigma={self.sigma:g}, order={self.order:g}"
        if x[-1] > x[0] and _increases(beta):
            return f"condition C5 of PATE 2018 fails {at}: the bound is not monotone in q"
        jumps = self.rdp(self.upper(log_q)) - beta
        if _increases(jumps[x >= start + shift]):
            return (
                f"condition C6 of PATE 2018 fails {at}: the sensitivity is not monotone in q, "
                "so Algorithms 4 and 5 do not find the largest one"
            )
        return None


def _increases(values: Floats) -> bool:
    """Whether a sequence that should fall rises anywhere, beyond rounding."""
    return bool((np.diff(values) > 1e-9 * np.abs(values[:-1]) + 1e-18).any())


def gnmax_local_sensitivities(counts: Ints, curve: GnmaxCurve) -> Floats:
    """[P18] Algorithms 4 and 5 for every query: (n_queries, n_teachers + 1), growing with d.

    The largest q within distance d comes from moving votes from the winner to the runner-up, the
    smallest from moving them from the currently second to the winner. Valid under C5 and C6.
    """
    rows = -np.sort(-counts, axis=1)
    result = np.full((len(rows), int(rows[0].sum()) + 1), curve.plateau)
    log_q = gnmax_log_q(rows, curve.sigma)
    for start in range(0, len(rows), _BLOCK):
        part = np.arange(start, min(start + _BLOCK, len(rows)))
        right = part[log_q[part] < curve.log_q1]
        left = part[log_q[part] > curve.log_q0]
        _walk_right(rows[right], curve, right, result)
        _walk_left(rows[left], log_q[left], curve, left, result)
    return np.maximum.accumulate(result, axis=1, out=result)


def _walk_right(rows: Ints, curve: GnmaxCurve, at: Ints, result: Floats) -> None:
    """Strong consensus: each step of two votes' gap towards the runner-up raises q, up to q_1."""
    if not len(rows):
        return
    # the gap closes after (v0 - v1)/2 steps; q has passed q_1 < 1/2 before
    steps = np.arange((rows[:, 0] - rows[:, 1]).max() // 2 + 1)
    gaps = rows[:, :1] - rows[:, 1:]
    table = special.ndtr(-np.arange(gaps.max() + 1) / (math.sqrt(2) * curve.sigma))
    logs = special.log_ndtr(-np.arange(gaps.max() + 1) / (math.sqrt(2) * curve.sigma))
    closest = np.maximum(gaps[:, :1] - 2 * steps, 0)
    total = table[closest]
    for j in range(1, gaps.shape[1]):
        total += table[np.maximum(gaps[:, j, None] - steps, 0)]
    with np.errstate(divide="ignore"):
        log_q = np.log(total)
    tiny = total < 1e-290  # only the runner-up, or classes level with it, are left in the sum
    if tiny.any():
        all_logs = [logs[closest]]
        all_logs += [logs[np.maximum(g[:, None] - steps, 0)] for g in gaps.T[1:]]
        log_q = np.where(tiny, special.logsumexp(all_logs, axis=0), log_q)
    walking = np.logical_and.accumulate(log_q < curve.log_q1, axis=1)
    values = np.full(log_q.shape, curve.plateau)
    values[walking] = curve.sensitivity(log_q[walking])
    result[at, : len(steps)] = values


def _walk_left(rows: Ints, log_q: Floats, curve: GnmaxCurve, at: Ints, result: Floats) -> None:
    """Weak consensus: each step moves a vote from the second to the winner; q falls to q_0."""
    rows, step = rows.copy(), 0
    while len(rows):
        result[at, step] = curve.sensitivity(log_q)
        going = rows[:, 1:].max(axis=1) > 0
        rows, at = rows[going], at[going]
        second = 1 + rows[:, 1:].argmax(axis=1)
        rows[np.arange(len(rows)), second] -= 1
        rows[:, 0] += 1
        log_q = gnmax_log_q(rows, curve.sigma) if len(rows) else log_q[:0]
        going = log_q > curve.log_q0
        rows, at, log_q = rows[going], at[going], log_q[going]
        step += 1


def threshold_sensitivities_at(
    largest: Ints, n_teachers: int, threshold: float, sigma_1: float, order: float
) -> Floats:
    """Local sensitivity of the threshold bit's bound at distance *exactly* d ([P18]'s code).

    Not monotone in d; `threshold_local_sensitivities` is what smooth sensitivity needs.

    Args:
      largest: (n_queries,) the largest count of each query.
    """
    rdp = threshold_rdp(np.arange(n_teachers + 1), threshold, sigma_1, order)[:, 0]
    change = np.abs(np.diff(rdp))
    local = np.maximum(np.append(change, 0.0), np.append(0.0, change))
    distance = np.arange(n_teachers + 1)
    result = np.zeros((len(largest), n_teachers + 1))
    for sign in (1, -1):
        reached = largest[:, None] + sign * distance
        inside = (reached >= 0) & (reached <= n_teachers)
        result = np.maximum(result, np.where(inside, local[reached.clip(0, n_teachers)], 0.0))
    return result


def threshold_local_sensitivities(
    largest: Ints, n_teachers: int, threshold: float, sigma_1: float, order: float
) -> Floats:
    """The largest local sensitivity of the threshold bit's bound *within* distance d."""
    exactly = threshold_sensitivities_at(largest, n_teachers, threshold, sigma_1, order)
    return np.maximum.accumulate(exactly, axis=1)


def smooth_sensitivity(local: Floats, beta: float) -> npt.NDArray[np.float64]:
    """max_d e^(-beta d) LS_d ([P18] Theorem 20) over the last axis; `local` must grow with d."""
    discount = np.exp(-beta * np.arange(local.shape[-1]))
    return np.asarray((local * discount).max(axis=-1))
