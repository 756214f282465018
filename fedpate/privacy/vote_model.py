"""What votes to expect before any teacher is trained: a model, or a pilot's histograms.

The model, and it is only that: a query has a difficulty Q ~ Beta with mean p (the accuracy of one
teacher) and variance p (1 - p) c; given Q, each of n teachers is right with probability Q
independently. So the number of right votes is beta-binomial, c is the correlation of two teachers'
being right, and c = 0 is full independence, which no real data shows. A wrong vote goes to the
query's one rival class with probability r, else to any further class evenly.

How near the truth it is: with p = 0.70 and c = 0.13 of the published MNIST votes of 250 teachers
and r = 0.5, GNMax labels at noise scales 0, 40, 80, 120 are right in 97.4, 92.1, 67.4, 47.0 % of
the queries, where really 94.4, 91.7, 68.8, 47.6 % are. Real data has more hopeless queries than a
Beta law, so plans are optimistic by some points where the noise is small.
A pilot is better than the model, but its votes are private: a plan made from them is too, unless
they were released under a budget of their own.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy import stats

from fedpate import _check
from fedpate.errors import ConfigError, DataError
from fedpate.records import Floats, Ints
from fedpate.rng import stream

N_SAMPLE = 1024  # histograms that stand for all: they cover the model evenly, so few are enough
_PLAIN_COLUMNS = 16  # up to so many other classes, one column each
_EVEN = (0.7548776662466927, 0.5698402909980532)  # a plane lattice: 1/x and 1/x^2 for x^3 = x + 1


@dataclass(frozen=True, eq=False)
class VoteSample:
    """Vote histograms seen from the right class, each as likely as the others.

    A column of `others` holds one other class, or (many classes) all those with equal votes.
    """

    right: Ints  # (n_sample,) votes for the right class
    others: Ints  # (n_sample, n_columns) votes for the others, decreasing in each row
    times: Ints  # (n_sample, n_columns) how many classes that is; 0 for a column that is not used

    @classmethod
    def of(cls, counts: Ints, truth: Ints) -> "VoteSample":
        """From (n_sample, n_classes) counts and the right class of each."""
        rows = np.arange(len(counts))
        rest = counts.copy()
        rest[rows, truth] = -1
        others = -np.sort(-rest, axis=1)[:, :-1]
        if others.shape[1] <= _PLAIN_COLUMNS:
            return cls(counts[rows, truth], others, np.ones_like(others))
        levels = [np.unique(-row, return_counts=True) for row in others]
        shape = (len(counts), max(len(level) for level, _ in levels))
        others, times = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        for row, (level, classes) in enumerate(levels):
            others[row, : len(level)], times[row, : len(level)] = -level, classes
        return cls(counts[rows, truth], others, times)

    @property
    def largest(self) -> Ints:
        """(n_sample,) votes of the most voted class."""
        return np.maximum(self.right, self.others[:, 0])

    @property
    def without_noise(self) -> float:
        """How often the most voted class is the right one, ties at random."""
        ties = ((self.others == self.right[:, None]) * self.times).sum(axis=1)
        return float(((self.right >= self.others[:, 0]) / (1 + ties)).mean())


class VoteSource(Protocol):
    """Where the votes to expect come from."""

    @property
    def remark(self) -> str:
        """What a reader of the plan has to know about it."""

    def sample(self, n_teachers: int, n_classes: int) -> VoteSample:
        """Histograms of `n_teachers`, the same at every call."""


@dataclass(frozen=True)
class VoteModel:
    """The model above."""

    teacher_accuracy: float = 0.8  # p, in (0, 1)
    correlation: float = 0.15  # c, in [0, 1)
    rival_share: float = 0.5  # r, in [0, 1]; with two classes the rival has all wrong votes

    def __post_init__(self) -> None:
        _check.open_unit(teacher_accuracy=self.teacher_accuracy)
        if not 0 <= self.correlation < 1:
            raise ConfigError(f"correlation must be in [0, 1), got {self.correlation!r}")
        if not 0 <= self.rival_share <= 1:
            raise ConfigError(f"rival_share must be in [0, 1], got {self.rival_share!r}")

    @property
    def remark(self) -> str:
        """That it is a model."""
        return (
            f"Votes are a model's: each teacher is right in {self.teacher_accuracy:.1%} of the "
            f"queries, correlation {self.correlation:g}, {self.rival_share:.0%} of a query's wrong "
            "votes for one class. Plan again with a pilot's votes once there are some."
        )

    def sample(self, n_teachers: int, n_classes: int) -> VoteSample:
        """`N_SAMPLE` histograms, spread evenly over difficulty, right votes and rival votes."""
        index = np.arange(N_SAMPLE)
        difficulty = self._difficulty((index + 0.5) / N_SAMPLE)
        right = _binomial(n_teachers, difficulty, (0.5 + index * _EVEN[0]) % 1)
        share = 1.0 if n_classes == 2 else self.rival_share
        rival = _binomial(n_teachers - right, share, (0.5 + index * _EVEN[1]) % 1)
        counts = np.zeros((N_SAMPLE, n_classes), dtype=np.int64)
        counts[:, 0], counts[:, 1] = right, rival
        if n_classes > 2:
            even = np.full(n_classes - 2, 1 / (n_classes - 2))
            rng = stream(0, "vote model")
            counts[:, 2:] = rng.multinomial(n_teachers - right - rival, even)
        return VoteSample.of(counts, np.zeros(N_SAMPLE, dtype=np.int64))

    def _difficulty(self, quantiles: Floats) -> Floats:
        if self.correlation < 1e-9:  # a Beta law so narrow that float64 cannot hold it
            return np.full(len(quantiles), self.teacher_accuracy)
        size = 1 / self.correlation - 1
        law = stats.beta(self.teacher_accuracy * size, (1 - self.teacher_accuracy) * size)
        return np.asarray(law.ppf(quantiles))


@dataclass(frozen=True, eq=False)
class Pilot:
    """Vote histograms of an earlier run; without the truth, the most voted class stands for it."""

    counts: Ints  # (n_queries, n_classes); rows sum to the pilot's number of teachers
    truth: Ints | None = None  # (n_queries,) the right classes

    def __post_init__(self) -> None:
        counts = self.counts
        if counts.ndim != 2 or counts.shape[0] < 1 or counts.shape[1] < 2:
            raise DataError(f"pilot votes must be (queries, classes >= 2), got {counts.shape}")
        sums = counts.sum(axis=1)
        if (counts < 0).any() or (sums != sums[0]).any() or sums[0] < 1:
            raise DataError("pilot votes must be counts >= 0 whose rows have one and the same sum")
        truth = self.truth
        if truth is not None and truth.shape != (len(counts),):
            raise DataError(f"pilot labels must have shape ({len(counts)},), got {truth.shape}")
        if truth is not None and ((truth < 0) | (truth >= counts.shape[1])).any():
            raise DataError(f"pilot labels must be classes in [0, {counts.shape[1]})")

    @property
    def remark(self) -> str:
        """That it is private."""
        judged = "the most voted class is taken as right" if self.truth is None else "labels known"
        return (
            f"Votes are those of a pilot with {len(self.counts)} queries ({judged}). They are "
            "private, and so is this plan, unless they were released under a budget."
        )

    def sample(self, n_teachers: int, n_classes: int) -> VoteSample:
        """Its own histograms; for another number of teachers, votes drawn from their shares."""
        if n_classes != self.counts.shape[1]:
            raise ConfigError(
                f"classes must be {self.counts.shape[1]}, as in the pilot, got {n_classes}"
            )
        truth = self.counts.argmax(axis=1) if self.truth is None else self.truth
        counts = self.counts
        if n_teachers != counts[0].sum():
            shares = counts / counts.sum(axis=1, keepdims=True)
            counts = stream(0, "pilot votes").multinomial(n_teachers, shares)
        return _thinned(VoteSample.of(counts, truth))


def _thinned(sample: VoteSample) -> VoteSample:
    """`N_SAMPLE` rows at most, evenly spaced in the lead of the right class."""
    n_rows = len(sample.right)
    if n_rows <= N_SAMPLE:
        return sample
    order = np.argsort(sample.right - sample.others[:, 0], kind="stable")
    rows = order[((np.arange(N_SAMPLE) + 0.5) * n_rows / N_SAMPLE).astype(np.int64)]
    return VoteSample(sample.right[rows], sample.others[rows], sample.times[rows])


def _binomial(n: int | Ints, probability: float | Floats, quantiles: npt.ArrayLike) -> Ints:
    return np.asarray(stats.binom.ppf(quantiles, n, probability)).astype(np.int64)
