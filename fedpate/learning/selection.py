"""Which records of the pool to ask about: the closed list `SELECTORS` (group `queries_by`).

A selector sees the public pool and, in later rounds, what a student of the released labels predicts
about it. Both are public, so a choice is post-processing and costs nothing. The price of asking
does not depend on what is asked, and how many queries a round has is fixed by the settings: rounds
compose adaptively, at the price of as many queries asked at once (docs/concepts/two-steps.md).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from fedpate import _check, rng
from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import ConfigError
from fedpate.records import Features, Floats, Ints


@dataclass(frozen=True, eq=False)
class Known:
    """What the coordinator knows when it chooses; all of it public."""

    pool: Features  # (n, ...) records
    preprocessing: Preprocessing
    asked: Ints  # rows of the pool that were chosen before, in that order
    predicted: (
        Floats | None
    )  # (n, n_classes) by a student of the labels so far; None: there is none
    seed: int  # the run's

    @property
    def left(self) -> Ints:
        """Rows that were not chosen yet, in the order of the run's random choice.

        The order does not depend on what was asked: fewer random queries are a prefix of more.
        """
        order = rng.stream(self.seed, "queries").permutation(len(self.pool))
        return order[~np.isin(order, self.asked)]


@runtime_checkable
class Selector(Protocol):
    """A way to choose queries."""

    name: ClassVar[str]

    @property
    def learns(self) -> bool:
        """Whether it looks at a student, so that it asks in rounds."""

    def choose(self, known: Known, count: int) -> Ints:
        """`count` distinct rows of the pool that were not chosen before."""


@dataclass(frozen=True)
class RandomQueries:
    """Any records, all equally likely: labels whose errors are those of the pool."""

    name: ClassVar[str] = "random"
    learns: ClassVar[bool] = False

    def choose(self, known: Known, count: int) -> Ints:
        """The next ones of the random order."""
        return known.left[:count]


@dataclass(frozen=True)
class EntropyQueries:
    """Records on which the student's prediction has the highest entropy; random at first.

    Teachers disagree on such records too, so their labels are wrong more often: made for
    mechanism=interactive or confident, which decline where the teachers disagree.
    """

    name: ClassVar[str] = "entropy"
    learns: ClassVar[bool] = True
    spread: float = 3.0  # drawn at random from so many times as many: neighbours teach the same

    def __post_init__(self) -> None:
        _check_spread(self.spread)

    def choose(self, known: Known, count: int) -> Ints:
        """From the highest entropies; random without a student."""
        return _uncertain(known, count, self.spread, entropy)


@dataclass(frozen=True)
class MarginQueries:
    """Records on which the student's first and second class are closest; random at first."""

    name: ClassVar[str] = "margin"
    learns: ClassVar[bool] = True
    spread: float = 3.0  # as for entropy

    def __post_init__(self) -> None:
        _check_spread(self.spread)

    def choose(self, known: Known, count: int) -> Ints:
        """From the smallest margins; random without a student."""
        return _uncertain(known, count, self.spread, closeness)


@dataclass(frozen=True)
class KCenterQueries:
    """Records far from all that were asked: greedy k-center (Sener and Savarese, ICLR 2018).

    Distances are Euclidean, between preprocessed features; or, with `by=student` and once there is
    a student, between square roots of its probabilities (Hellinger).
    """

    name: ClassVar[str] = "kcenter"
    by: str = "features"  # or student

    def __post_init__(self) -> None:
        _check.one_of(("features", "student"), **{"queries_by.by": self.by})

    @property
    def learns(self) -> bool:
        """With `by=student`."""
        return self.by == "student"

    def choose(self, known: Known, count: int) -> Ints:
        """The farthest record, again and again; the first of all is a random one."""
        if self.by == "student" and known.predicted is not None:
            points = np.sqrt(known.predicted)
        else:
            prepared = known.preprocessing.apply(known.pool)
            points = prepared.reshape(len(prepared), -1).astype(np.float64)
        return farthest_first(points, known.asked, known.left, count)


SELECTORS: dict[str, type[Any]] = {
    cls.name: cls for cls in (RandomQueries, EntropyQueries, MarginQueries, KCenterQueries)
}


def entropy(probabilities: Floats) -> Floats:
    """(n, n_classes) -> (n,) entropy of each row, in nats."""
    found: Floats = -(probabilities * np.log(np.maximum(probabilities, 1e-300))).sum(axis=1)
    return found


def closeness(probabilities: Floats) -> Floats:
    """(n, n_classes) -> (n,) minus the margin between the two most probable classes."""
    two = np.partition(probabilities, -2, axis=1)[:, -2:]
    found: Floats = two[:, 0] - two[:, 1]
    return found


def farthest_first(points: Floats, asked: Ints, left: Ints, count: int) -> Ints:
    """`count` rows of `left`, each farthest from `asked` and from those before it.

    Args:
      points: (n, d).
      asked: rows that are centres already.
      left: rows to choose from; its first is chosen where there is no centre; ties go to the first.
      count: at most len(left).
    """
    squares = np.square(points).sum(axis=1)
    gap = np.full(len(left), np.inf)
    candidates = points[left]

    def move_to(centre: int) -> None:
        distance = squares[left] + squares[centre] - 2 * (candidates @ points[centre])
        np.minimum(gap, distance, out=gap)

    for centre in asked.tolist():
        move_to(centre)
    chosen = []
    for _ in range(count):
        place = int(gap.argmax())
        chosen.append(int(left[place]))
        move_to(chosen[-1])
        gap[place] = -np.inf
    return np.array(chosen, np.int64)


def _check_spread(spread: float) -> None:
    if not 1 <= spread < math.inf:
        raise ConfigError(f"queries_by.spread must be finite and >= 1, got {spread}")


def _uncertain(known: Known, count: int, spread: float, score: Callable[[Floats], Floats]) -> Ints:
    left = known.left
    if known.predicted is None:
        return left[:count]
    order = np.argsort(-score(known.predicted[left]), kind="stable")  # ties in random order
    near = left[order[: max(count, round(spread * count))]]
    own = rng.stream(known.seed, "queries", len(known.asked))
    return near[np.sort(own.permutation(len(near))[:count])]
