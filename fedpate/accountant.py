"""What labels cost, before and after there are votes: on settings and numpy arrays alone.

>>> from fedpate import accountant, mechanisms
>>> gnmax = mechanisms.GaussianMax(noise_scale=40)
>>> price = accountant.price(gnmax, queries=100, classes=10, teachers_per_hospital=25)
>>> print(price)
patient epsilon 1.17, hospital epsilon 75.95 at delta 1e-05, replace-one
>>> price.patient.bound
'argmax_only'
>>> accountant.calibrate(gnmax, 1.0, queries=100, classes=10)  # the other way round
GaussianMax(noise_scale=45.89...)

Nothing here is charged to a ledger (`fedpate.Ledger`), and nothing looks at data but `Account`.
"""

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from fedpate import _check
from fedpate.privacy import accounting
from fedpate.privacy import plan as planning
from fedpate.privacy.account import Account
from fedpate.privacy.accounting import Guarantee, bounds, guarantee
from fedpate.privacy.audit import Audit, audit_mechanism
from fedpate.privacy.histograms import validated
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.noise import Entropy, OsEntropy
from fedpate.privacy.plan import Plan, Question
from fedpate.privacy.vote_model import Pilot, VoteModel, VoteSource
from fedpate.report import text

__all__ = [
    "Account",
    "Audit",
    "Guarantee",
    "Plan",
    "Price",
    "VoteModel",
    "account",
    "audit",
    "bounds",
    "calibrate",
    "guarantee",
    "plan",
    "price",
]

DELTA = 1e-5
M = TypeVar("M", bound=Mechanism)


@dataclass(frozen=True)
class Price:
    """The guaranteed epsilon of both privacy units, at one delta, under replace-one."""

    patient: Guarantee
    hospital: Guarantee

    def __str__(self) -> str:
        return (
            f"patient epsilon {text.epsilon(self.patient.epsilon)}, "
            f"hospital epsilon {text.epsilon(self.hospital.epsilon)} "
            f"at delta {self.patient.delta:g}, replace-one"
        )


def price(
    mechanism: Mechanism,
    *,
    queries: int,
    classes: int,
    teachers_per_hospital: int = 1,
    delta: float = DELTA,
) -> Price:
    """What asking so many queries costs, whatever the votes are.

    Args:
      mechanism: with its noise set.
      queries: asked; with a threshold, the price if every one of them is answered.
      classes: of the labels, >= 2.
      teachers_per_hospital: what one hospital's patients can move together; a patient moves one.
      delta: at which both epsilons are stated.

    Raises:
      ConfigError: a number out of range, or a mechanism without its noise.
    """
    _check.at_least(0, queries=queries)
    _check.at_least(1, teachers_per_hospital=teachers_per_hospital)
    _check.at_least(2, classes=classes)
    patient, hospital = (
        guarantee(mechanism.event(queries, moved, classes), delta)
        for moved in (1, teachers_per_hospital)
    )
    return Price(patient, hospital)


def calibrate(
    mechanism: M, target_epsilon: float, *, queries: int, classes: int, delta: float = DELTA
) -> M:
    """The same mechanism with the least noise that meets a target per patient.

    A mechanism with several scales keeps their ratio.

    Raises:
      ConfigError: no noise is enough, or the mechanism has none to set.
    """
    _check.at_least(1, queries=queries)
    _check.at_least(2, classes=classes)
    scale = accounting.calibrate(
        lambda noise: mechanism.with_noise(noise).event(queries, 1, classes), target_epsilon, delta
    )
    return mechanism.with_noise(scale)


def account(
    counts: npt.NDArray[Any],
    mechanism: Mechanism,
    *,
    teachers_per_hospital: int | None = None,
    delta: float = DELTA,
) -> Account:
    """All prices of releasing one label per row of votes; what looks at the votes is private.

    Args:
      counts: (n_queries, n_classes) vote counts; every row sums to the number of teachers.
      mechanism: with its noise set.
      teachers_per_hospital: also price a hospital with so many of the teachers.
      delta: at which epsilon is stated.

    Returns:
      Prices, computed when asked for: `to_json()` has all of them.

    Raises:
      DataError: not vote counts.
      ConfigError: more teachers in a hospital than voted, or delta out of range.
    """
    return Account(validated(counts, "counts"), mechanism, delta, teachers_per_hospital)


def plan(
    *,
    hospitals: int = 10,
    teachers_per_hospital: int | None = None,
    patients: int | None = None,
    classes: int = 10,
    labels: int | None = None,
    target_epsilon: float | None = None,
    hospital_epsilon: float | None = None,
    label_accuracy: float | None = None,
    pool: int | None = None,
    delta: float = DELTA,
    votes: VoteSource | npt.NDArray[Any] | None = None,
) -> Plan:
    """Before any training: what labels would cost and be worth.

    Args:
      hospitals: how many take part.
      teachers_per_hospital: of each; left open, as many as the patients allow, or 5.
      patients: of all hospitals together.
      classes: of the labels.
      labels: wanted; left open, as many as the target affords.
      target_epsilon: the most per patient; left open, the least that gives accurate labels.
      hospital_epsilon: the most per hospital.
      label_accuracy: wanted of the labels, in (0, 1).
      pool: the most queries that can be asked.
      delta: at which epsilon is stated.
      votes: what votes to expect: a `VoteModel`, or the (queries, classes) counts of a pilot.

    Returns:
      The best choice, what other epsilons would give, and remarks in words.

    Raises:
      ConfigError: the question contradicts itself.
      DataError: `votes` are not vote counts.
    """
    if teachers_per_hospital is None and patients is None:
        teachers_per_hospital = planning.DEFAULT_TEACHERS
    question = Question(
        hospitals=hospitals,
        teachers_per_hospital=teachers_per_hospital,
        patients=patients,
        classes=classes,
        labels=labels,
        target_epsilon=target_epsilon,
        hospital_epsilon=hospital_epsilon,
        delta=delta,
        label_accuracy=label_accuracy,
        pool=pool,
        votes=_expected(votes),
    )
    return planning.plan(question)


def _expected(votes: VoteSource | npt.NDArray[Any] | None) -> VoteSource:
    if votes is None:
        return VoteModel()
    return Pilot(validated(votes, "votes")) if isinstance(votes, np.ndarray) else votes


def audit(
    mechanism: Mechanism,
    *,
    classes: int = 10,
    teachers: int = 50,
    trials: int = 20_000,
    queries: int | None = None,
    confidence: float = 0.95,
    delta: float = DELTA,
    entropy: Entropy | None = None,
) -> Audit:
    """Sample a mechanism on neighbouring votes and bound its epsilon per patient from below.

    Args:
      mechanism: with its noise set; its event makes the claim.
      classes: of the labels.
      teachers: that vote.
      trials: outputs sampled from each of two neighbours.
      queries: in one output; None: as many as show most.
      confidence: that all lower bounds hold.
      delta: at which the claim is stated.
      entropy: what the mechanism draws from; the operating system by default.

    Returns:
      Claim and measured bound; `passed` is False if the claim is refuted.

    Raises:
      ConfigError: a number out of range.
    """
    return audit_mechanism(
        mechanism,
        delta,
        classes,
        teachers,
        trials,
        entropy or OsEntropy(),
        confidence,
        queries,
    )
