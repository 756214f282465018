"""Mechanisms that first ask, privately, whether a query is worth an answer.

[P18] Papernot et al., Scalable Private Learning with PATE, ICLR 2018, arXiv:1802.08908,
Algorithms 1 and 2.

Two steps, each paid for before it is taken (`GatedMechanism`): a threshold bit for every query
asked, then a noisy arg max for those that passed. Which queries passed depends on the votes, but it
is what the bits have paid for; the second price depends on nothing else.
"""

# ruff: noqa: ARG002 - every mechanism takes what the contract gives, used or not

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from fedpate import _check
from fedpate.errors import ConfigError, PredictionError
from fedpate.privacy._mechanics import (
    blocks,
    check_optional_scale,
    noisy_winners,
    price,
    required,
    whole_counts,
)
from fedpate.privacy.entropy import Bools
from fedpate.privacy.events import Event, NoisyArgmax, NoisyThreshold
from fedpate.privacy.laws import check_scale
from fedpate.privacy.noise import Entropy, Gaussian, draw, noisy_threshold
from fedpate.records import NO_ANSWER, Floats, Ints, Release, Votes

EXPECTED_STEP = 2.0**-20  # votes


def _check_thresholds(noise: float | None, threshold: float | None, bit: float | None) -> None:
    check_optional_scale(**{"mechanism.noise_scale": noise})
    if threshold is None or bit is None:
        missing = "threshold" if threshold is None else "threshold_noise_scale"
        raise ConfigError(f"mechanism.{missing} must be set, got None")
    _check.finite(**{"mechanism.threshold": threshold})
    check_scale(**{"mechanism.threshold_noise_scale": bit})


def disagreement(votes: Votes, student: Floats) -> Floats:
    """(n_queries,) max_j (n_j - M p_j): by how many votes the teachers outvote the student.

    M p_j is rounded to multiples of 2^-20 first. Then float64 holds every score exactly, and a
    moved vote moves the largest by at most 1, not by 1 + rounding error.
    """
    expected = np.rint(votes.n_teachers * student / EXPECTED_STEP) * EXPECTED_STEP
    largest: Floats = (whole_counts(votes) - expected).max(axis=1)
    return largest


@dataclass(frozen=True)
class ConfidentMax:
    """Confident-GNMax: answers by GNMax where max count + N(0, threshold_noise_scale^2) >= T.

    Formal guarantees per query ([P18] Algorithm 1, Theorem 6 with Prop. 8; v votes moved):
      - the bit: the largest count moves by at most v, so it is post-processing of a Gaussian
        mechanism with mu = v / threshold_noise_scale;
      - the label: as `GaussianMax` at `noise_scale`;
      - the two compose adaptively; without the bit there is no label.
    """

    name: ClassVar[str] = "confident"
    noise_scale: float | None = None  # votes, standard deviation of the noise on the counts
    threshold: float | None = None  # votes
    threshold_noise_scale: float | None = None  # votes, standard deviation

    def __post_init__(self) -> None:
        _check_thresholds(self.noise_scale, self.threshold, self.threshold_noise_scale)

    def gate_event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One threshold bit per query asked."""
        return _gate_price(self, n_queries, votes_moved)

    def answer_event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One noisy arg max per query that passed."""
        return _answer_price(self, n_queries, votes_moved, n_classes)

    def event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One threshold bit and one noisy arg max per query asked: the price if all pass."""
        bits = _gate_price(self, n_queries, votes_moved)
        return bits + _answer_price(self, n_queries, votes_moved, n_classes)

    def gate(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Bools:
        """Where the plurality is large enough."""
        return _passes(self, whole_counts(votes).max(axis=1), entropy)

    def answer(
        self, votes: Votes, passed: Bools, entropy: Entropy, student: Floats | None = None
    ) -> Release:
        """Noisy arg max where the query passed, `NO_ANSWER` elsewhere."""
        return _answer(self, votes, passed, entropy)

    def release(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Release:
        """Noisy arg max where the plurality is large enough, `NO_ANSWER` elsewhere."""
        return self.answer(votes, self.gate(votes, entropy), entropy)

    def with_noise(self, noise_scale: float) -> Self:
        """Both noise scales by the same factor; the threshold stays."""
        return replace(self, **_scaled(self, noise_scale))


@dataclass(frozen=True)
class InteractiveMax:
    """Interactive-GNMax: spends answers where the teachers disagree with the student.

    Answers by GNMax where max_j (n_j - M p_j) + N(0, threshold_noise_scale^2) >= T for M teachers
    and a student that predicts p; where the student agrees and is confident (max p > `confidence`)
    its own prediction is reinforced; elsewhere there is no answer ([P18] Algorithm 2). It runs in
    rounds: the caller trains the student on one release and passes its predictions to the next.

    Formal guarantees per query: those of `ConfidentMax`. Given p, which is public because it comes
    from earlier releases, a moved vote moves the largest score by at most one, and reinforcing is
    post-processing of the bit.
    """

    name: ClassVar[str] = "interactive"
    noise_scale: float | None = None  # votes, standard deviation of the noise on the counts
    threshold: float | None = None  # votes by which the teachers must outvote the student
    threshold_noise_scale: float | None = None  # votes, standard deviation
    confidence: float | None = None  # probability above which the student is reinforced

    def __post_init__(self) -> None:
        _check_thresholds(self.noise_scale, self.threshold, self.threshold_noise_scale)
        if self.confidence is None:
            raise ConfigError("mechanism.confidence must be set, got None")
        _check.open_unit(**{"mechanism.confidence": self.confidence})

    def gate_event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One threshold bit per query asked."""
        return _gate_price(self, n_queries, votes_moved)

    def answer_event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One noisy arg max per query that passed."""
        return _answer_price(self, n_queries, votes_moved, n_classes)

    def event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One threshold bit and one noisy arg max per query asked: the price if all pass."""
        bits = _gate_price(self, n_queries, votes_moved)
        return bits + _answer_price(self, n_queries, votes_moved, n_classes)

    def gate(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Bools:
        """Where the teachers outvote the student.

        Args:
          votes: the tally.
          entropy: all randomness.
          student: (n_queries, n_classes) its probabilities; None is a student that knows nothing
            yet, all classes equally likely.

        Raises:
          PredictionError: `student` is not one probability vector per query.
        """
        predicted = _probabilities(student, whole_counts(votes).shape)
        return _passes(self, disagreement(votes, predicted), entropy)

    def answer(
        self, votes: Votes, passed: Bools, entropy: Entropy, student: Floats | None = None
    ) -> Release:
        """GNMax where the query passed; elsewhere reinforcement or `NO_ANSWER`."""
        predicted = _probabilities(student, whole_counts(votes).shape)
        confident = predicted.max(axis=1) > required(**{"mechanism.confidence": self.confidence})
        reinforced = np.where(confident, predicted.argmax(axis=1), NO_ANSWER)
        answered = _answer(self, votes, passed, entropy)
        return Release(votes.query_ids, np.where(passed, answered.labels, reinforced))

    def release(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Release:
        """GNMax, reinforcement or `NO_ANSWER` per query; `student` as for `gate`."""
        return self.answer(votes, self.gate(votes, entropy, student), entropy, student)

    def with_noise(self, noise_scale: float) -> Self:
        """Both noise scales by the same factor; threshold and confidence stay."""
        return replace(self, **_scaled(self, noise_scale))


_Gated = ConfidentMax | InteractiveMax


def _noise(mechanism: _Gated) -> float:
    return required(**{"mechanism.noise_scale": mechanism.noise_scale})


def _bit_noise(mechanism: _Gated) -> float:
    return required(**{"mechanism.threshold_noise_scale": mechanism.threshold_noise_scale})


def _gate_price(mechanism: _Gated, n_queries: int, votes_moved: int) -> Event:
    return price(n_queries, votes_moved, 1, NoisyThreshold(_bit_noise(mechanism), votes_moved))


def _answer_price(mechanism: _Gated, n_queries: int, votes_moved: int, n_classes: int) -> Event:
    return price(n_queries, votes_moved, n_classes, NoisyArgmax(_noise(mechanism), votes_moved))


def _passes(mechanism: _Gated, statistic: Floats | Ints, entropy: Entropy) -> Bools:
    scale = _bit_noise(mechanism)
    threshold = required(**{"mechanism.threshold": mechanism.threshold})
    passed = np.empty(len(statistic), dtype=np.bool_)
    for rows in blocks(len(statistic), 1):
        drawn = draw(Gaussian(scale), statistic[rows].shape, entropy)
        passed[rows] = noisy_threshold(statistic[rows], threshold, drawn)
    return passed


def _answer(mechanism: _Gated, votes: Votes, passed: Bools, entropy: Entropy) -> Release:
    labels = np.full(len(passed), NO_ANSWER, dtype=np.int64)
    labels[passed] = noisy_winners(
        whole_counts(votes)[passed], Gaussian(_noise(mechanism)), entropy
    )
    return Release(votes.query_ids, labels)


def _scaled(mechanism: _Gated, noise_scale: float) -> dict[str, float]:
    # Without a noise scale of its own there is no ratio to keep: the bit's noise stays as given.
    bit = _bit_noise(mechanism)
    ratio = 1.0 if mechanism.noise_scale is None else noise_scale / mechanism.noise_scale
    return {"noise_scale": noise_scale, "threshold_noise_scale": bit * ratio}


def _probabilities(student: Floats | None, shape: tuple[int, ...]) -> Floats:
    if student is None:
        return np.full(shape, 1 / shape[1])
    if student.shape != shape:
        raise PredictionError(f"student predictions must have shape {shape}, got {student.shape}")
    good = (student >= 0).all(axis=1) & (np.abs(student.sum(axis=1) - 1) < 1e-3)
    if not good.all():  # NaN compares false, so NaN rows land here too
        raise PredictionError(
            "each row of the student's predictions must be >= 0 and sum to 1; "
            f"{(~good).sum()} of {len(good)} rows do not"
        )
    return student
