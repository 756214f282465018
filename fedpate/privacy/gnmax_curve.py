"""The GNMax bound of PATE 2018 at one order, as a function of q, and how far a vote moves it.

[P18] Papernot et al., arXiv:1802.08908, Appendix B: Algorithm 3, Prop. 13, conditions C5 and C6.

beta(q) is Theorem 6 below q_0 and Proposition 8 above it. A moved vote keeps q within
[B_L(q), B_U(q)]; in x = Phi^-1(1 - q/(m-1)), the standardised gap of a histogram whose m - 1 losers
are all equal, both are a shift by sqrt(2)/sigma. q_1 = B_L(q_0). What [P18] needs, checked here:
  C5  beta increases on (0, q_0];
  C6  beta(B_U(q)) - beta(q) increases on (0, q_1].

NOT RELEASABLE: q looks at the votes.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from fedpate.privacy.pate_bounds import gnmax_rdp_independent
from fedpate.privacy.theorem6 import theorem_6, theorem_6_applies
from fedpate.records import Floats

_GRID = 4000  # points at which C5 and C6 are checked


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
        alpha, anything = np.array([self.order]), np.array([1e300])
        bound = theorem_6(np.array([log_q]), self.sigma, alpha, anything)[0, 0]
        return float(bound) - self._independent

    def rdp(self, log_q: Floats) -> Floats:
        """beta(q), of the shape of `log_q`; the function whose value is released."""
        result = np.full(log_q.shape, self._independent)
        below = log_q < self.log_q0
        finite = below & np.isfinite(log_q)
        result[below] = 0.0
        alpha, independent = np.array([self.order]), np.array([self._independent])
        result[finite] = theorem_6(log_q[finite], self.sigma, alpha, independent)[:, 0]
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
        """By how much a vote can change beta at q ([P18] Algorithm 3, Prop. 13), under C5 and C6.

        Below q_1 only the rise to B_U(q) matters: the fall to B_L(q) is the rise from there, which
        C6 makes smaller. Above q_0 beta can only fall.
        """
        result = np.full(log_q.shape, self.plateau)
        low, high = log_q < self.log_q1, log_q > self.log_q0
        result[low] = self.rdp(self.upper(log_q[low])) - self.rdp(log_q[low])
        result[high] = self._independent - self.rdp(self.lower(log_q[high]))
        return result

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
