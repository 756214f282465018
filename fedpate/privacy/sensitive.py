"""What a sanitized epsilon is made from: a divergence of the votes, and what a vote changes in it.

Two kinds, and which one applies depends on public facts only (`subject_of`). Both give
  rdp             (n_queries, n_orders) to choose an order by;
  refusal         why the method is not proven at an order, in words, or None;
  at              the summed divergence at one order, and its local sensitivities within distance
                  0, 1, ..., n_teachers;
  weighted_local  those sensitivities at several orders, with a weight per query.

NOT RELEASABLE: all of it looks at the votes.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from fedpate.privacy.exact import ThresholdTest, exact_rdp
from fedpate.privacy.exact_laws import GaussianLaw
from fedpate.privacy.gnmax_curve import GnmaxCurve
from fedpate.privacy.histogram_space import MOST, histogram_space, size
from fedpate.privacy.histograms import merged
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.mechanisms import ConfidentMax, GaussianMax
from fedpate.privacy.pate_bounds import (
    confident_rdp,
    gnmax_log_q,
    gnmax_rdp,
    threshold_log_pr,
    threshold_rdp,
)
from fedpate.privacy.smooth_sensitivity import (
    gnmax_local_sensitivities,
    threshold_local_sensitivities,
)
from fedpate.records import Floats, Ints

Bools = npt.NDArray[np.bool_]


class NotSanitizableError(ValueError):
    """No sanitized value exists here; the message says why, in words fit for a report."""


class Subject(Protocol):
    """A divergence of the votes that can be sanitized; see the module."""

    @property
    def method(self) -> str:
        """How, in words fit for a report."""

    @property
    def pays_for_answers(self) -> bool:
        """Whether the sum depends on which queries were answered."""

    @property
    def largest(self) -> float:
        """What one query's divergence of order 1 can reach at most, from public facts."""

    def rdp(self, counts: Ints, orders: Floats) -> Floats:
        """(n_queries, n_orders)."""

    def refusal(self, order: float) -> str | None:
        """Why the method is not proven at this order."""

    def at(self, counts: Ints, answered: Bools | None, order: float) -> tuple[float, Floats]:
        """The sum over queries, and (n_teachers + 1,) its local sensitivities."""

    def weighted_local(self, counts: Ints, weights: Floats, orders: Floats) -> Floats:
        """(n_orders, n_teachers + 1) local sensitivities of a weighted sum over queries."""


def subject_of(mechanism: Mechanism, n_teachers: int, n_classes: int) -> Subject:
    """The divergence to sanitize for this mechanism and size of ensemble.

    Raises:
      NotSanitizableError: the mechanism is neither gnmax nor confident, or not calibrated.
    """
    sigma, test = _noise(mechanism)
    if size(n_teachers, n_classes) <= MOST:
        return ExactDivergence(sigma, test, n_teachers, n_classes)
    return PublishedBound(sigma, test, n_teachers, n_classes)


def published_bound(mechanism: Mechanism, n_teachers: int, n_classes: int) -> Subject:
    """The bound of [P18], whatever the size of the ensemble.

    Raises:
      NotSanitizableError: as `subject_of`, or there is one class only.
    """
    if n_classes < 2:
        raise NotSanitizableError("one class has no other answer to bound")
    return PublishedBound(*_noise(mechanism), n_teachers, n_classes)


def _noise(mechanism: Mechanism) -> tuple[float, ThresholdTest | None]:
    if not isinstance(mechanism, GaussianMax | ConfidentMax):
        raise NotSanitizableError(
            f"a sanitized epsilon exists for gnmax and confident, not for {mechanism.name}"
        )
    if mechanism.noise_scale is None:
        raise NotSanitizableError("mechanism.noise_scale must be set")
    if isinstance(mechanism, GaussianMax):
        return mechanism.noise_scale, None
    assert mechanism.threshold is not None
    assert mechanism.threshold_noise_scale is not None
    test = ThresholdTest(mechanism.threshold, mechanism.threshold_noise_scale)
    return mechanism.noise_scale, test


@dataclass(frozen=True)
class ExactDivergence:
    """f = exact divergence in both directions; every histogram is visited."""

    sigma: float
    test: ThresholdTest | None
    n_teachers: int
    n_classes: int
    method: ClassVar[str] = "exact, every histogram visited"
    pays_for_answers: ClassVar[bool] = False

    @property
    def largest(self) -> float:
        """See `Subject`."""
        bit = 0.0 if self.test is None else 1 / (2 * self.test.scale**2)
        return bit + 1 / self.sigma**2

    def rdp(self, counts: Ints, orders: Floats) -> Floats:
        """See `Subject`."""
        return exact_rdp(counts, GaussianLaw(self.sigma), orders, test=self.test)

    def refusal(self, order: float) -> str | None:  # noqa: ARG002 - it needs no condition
        """See `Subject`."""
        return None

    def at(self, counts: Ints, answered: Bools | None, order: float) -> tuple[float, Floats]:
        """See `Subject`."""
        del answered  # the joint divergence covers both outcomes
        space = histogram_space(self.n_teachers, self.n_classes)
        values = self.rdp(space.rows, np.array([order]))[:, 0]
        index = space.find(counts)
        return float(values[index].sum()), space.local_sensitivities(values)[index].sum(axis=0)

    def weighted_local(self, counts: Ints, weights: Floats, orders: Floats) -> Floats:
        """See `Subject`."""
        space = histogram_space(self.n_teachers, self.n_classes)
        index = space.find(counts)
        values = self.rdp(space.rows, orders)
        return np.array([weights @ space.local_sensitivities(v)[index] for v in values.T])


@dataclass(frozen=True)
class PublishedBound:
    """f = [P18]'s bound for the test and for the answer, the latter weighted by being answered."""

    sigma: float
    test: ThresholdTest | None
    n_teachers: int
    n_classes: int
    method: ClassVar[str] = "PATE 2018, Theorem 6"

    @property
    def pays_for_answers(self) -> bool:
        """See `Subject`."""
        return self.test is not None

    @property
    def largest(self) -> float:
        """See `Subject`."""
        bit = 0.0 if self.test is None else 1 / (2 * self.test.scale**2)
        return bit + 1 / self.sigma**2

    def rdp(self, counts: Ints, orders: Floats) -> Floats:
        """See `Subject`."""
        if self.test is None:
            return gnmax_rdp(gnmax_log_q(counts, self.sigma), self.sigma, orders)
        top = counts.max(axis=1)
        return confident_rdp(counts, top, self.test.threshold, self.test.scale, self.sigma, orders)

    def _curve(self, order: float) -> GnmaxCurve:
        return GnmaxCurve(self.sigma, order, self.n_classes)

    def refusal(self, order: float) -> str | None:
        """See `Subject`."""
        return self._curve(order).broken_condition(self.n_teachers)

    def _answer_weights(self, counts: Ints, answered: Bools | None) -> Floats:
        if answered is not None:
            return answered.astype(np.float64)
        if self.test is None:
            return np.ones(len(counts))
        log_pr = threshold_log_pr(counts.max(axis=1), self.test.threshold, self.test.scale)
        return np.exp(log_pr)

    def at(self, counts: Ints, answered: Bools | None, order: float) -> tuple[float, Floats]:
        """See `Subject`."""
        pay = self._answer_weights(counts, answered)
        value = float(pay @ self._curve(order).rdp(gnmax_log_q(counts, self.sigma)))
        if self.test is not None:
            top, test = counts.max(axis=1), self.test
            value += float(threshold_rdp(top, test.threshold, test.scale, order).sum())
        return value, self._local(counts, np.ones(len(counts)), pay, order)

    def weighted_local(self, counts: Ints, weights: Floats, orders: Floats) -> Floats:
        """See `Subject`."""
        paid = weights * self._answer_weights(counts, None)
        return np.array([self._local(counts, weights, paid, order) for order in orders.tolist()])

    def _local(self, counts: Ints, asked: Floats, paid: Floats, order: float) -> Floats:
        different = merged(counts)
        total = np.bincount(different.index, paid, len(different.rows))
        result = total @ gnmax_local_sensitivities(different.rows, self._curve(order))
        if self.test is not None:
            tops, index = np.unique(counts.max(axis=1), return_inverse=True)
            local = threshold_local_sensitivities(
                tops, self.n_teachers, self.test.threshold, self.test.scale, order
            )
            result = result + np.bincount(index, asked, len(tops)) @ local
        return np.asarray(result)
