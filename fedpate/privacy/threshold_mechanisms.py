"""Mechanisms that first ask, privately, whether a query is worth an answer.

[P18] Papernot et al., Scalable Private Learning with PATE, ICLR 2018, arXiv:1802.08908,
Algorithms 1 and 2.

Both are charged for the threshold bit *and* for the arg max of every query asked, answered or not:
which queries get an answer depends on the votes, so a price that counted answers would leak.
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


def _passes(statistic: Floats | Ints, threshold: float, scale: float, entropy: Entropy) -> Bools:
    passed = np.empty(len(statistic), dtype=np.bool_)
    for rows in blocks(len(statistic), 1):
        drawn = draw(Gaussian(scale), statistic[rows].shape, entropy)
        passed[rows] = noisy_threshold(statistic[rows], threshold, drawn)
    return passed


def disagreement(votes: Votes, student: Floats) -> Floats:
    """(n_queries,) max_j (n_j - M p_j): by how many votes the teachers outvote the student.

    M p_j is rounded to multiples of 2^-20 first. Then float64 holds every score exactly, and a
    moved vote moves the largest by at most 1, not by 1 + rounding error.
    """
    expected = np.rint(votes.n_teachers * student / EXPECTED_STEP) * EXPECTED_STEP
    largest: Floats = (votes.counts - expected).max(axis=1)
    return largest


@dataclass(frozen=True)
class ConfidentMax:
    """Confident-GNMax: answers by GNMax where max count + N(0, threshold_noise_scale^2) >= T.

    Formal guarantees per query ([P18] Algorithm 1, Theorem 6 with Prop. 8; v votes moved):
      - the bit: the largest count moves by at most v, so it is post-processing of a Gaussian
        mechanism with mu = v / threshold_noise_scale;
      - the label: as `GaussianMax` at `noise_scale`;
      - the two compose adaptively, and both are charged for every query asked.
    """

    name: ClassVar[str] = "confident"
    noise_scale: float | None = None  # votes, standard deviation of the noise on the counts
    threshold: float | None = None  # votes
    threshold_noise_scale: float | None = None  # votes, standard deviation

    def __post_init__(self) -> None:
        _check_thresholds(self.noise_scale, self.threshold, self.threshold_noise_scale)

    def event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One threshold bit and one noisy arg max per query asked."""
        return _two_steps(self, n_queries, votes_moved, n_classes)

    def release(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Release:
        """Noisy arg max where the plurality is large enough, `NO_ANSWER` elsewhere."""
        return _gated(self, votes, votes.counts.max(axis=1), entropy)

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

    def event(self, n_queries: int, votes_moved: int, n_classes: int) -> Event:
        """One threshold bit and one noisy arg max per query asked."""
        return _two_steps(self, n_queries, votes_moved, n_classes)

    def release(self, votes: Votes, entropy: Entropy, student: Floats | None = None) -> Release:
        """GNMax, reinforcement or `NO_ANSWER` per query.

        Args:
          votes: the tally.
          entropy: all randomness.
          student: (n_queries, n_classes) its probabilities; None is a student that knows nothing
            yet, all classes equally likely.

        Raises:
          PredictionError: `student` is not one probability vector per query.
        """
        predicted = _probabilities(student, votes.counts.shape)
        answered = _gated(self, votes, disagreement(votes, predicted), entropy)
        confident = predicted.max(axis=1) > required(**{"mechanism.confidence": self.confidence})
        reinforced = np.where(confident, predicted.argmax(axis=1), NO_ANSWER)
        labels = np.where(answered.answered, answered.labels, reinforced)
        return Release(votes.query_ids, labels)

    def with_noise(self, noise_scale: float) -> Self:
        """Both noise scales by the same factor; threshold and confidence stay."""
        return replace(self, **_scaled(self, noise_scale))


_Gated = ConfidentMax | InteractiveMax


def _scales(mechanism: _Gated) -> tuple[float, float]:
    return (
        required(**{"mechanism.noise_scale": mechanism.noise_scale}),
        required(**{"mechanism.threshold_noise_scale": mechanism.threshold_noise_scale}),
    )


def _two_steps(mechanism: _Gated, n_queries: int, votes_moved: int, n_classes: int) -> Event:
    noise, bit = _scales(mechanism)
    pieces = NoisyThreshold(bit, votes_moved), NoisyArgmax(noise, votes_moved)
    return price(n_queries, votes_moved, n_classes + 1, *pieces)


def _gated(mechanism: _Gated, votes: Votes, statistic: Floats | Ints, entropy: Entropy) -> Release:
    noise, bit = _scales(mechanism)
    threshold = required(**{"mechanism.threshold": mechanism.threshold})
    passed = _passes(statistic, threshold, bit, entropy)
    labels = np.full(len(passed), NO_ANSWER, dtype=np.int64)
    labels[passed] = noisy_winners(votes.counts[passed], Gaussian(noise), entropy)
    return Release(votes.query_ids, labels)


def _scaled(mechanism: _Gated, noise_scale: float) -> dict[str, float]:
    # Without a noise scale of its own there is no ratio to keep: the bit's noise stays as given.
    bit = required(**{"mechanism.threshold_noise_scale": mechanism.threshold_noise_scale})
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
