"""Exact per-instance Rényi divergence of what a PATE coordinator releases.

For the votes at hand, every neighbour (one vote moved, or several where there are two classes) and
both directions, from the exact laws of the output (`fedpate.privacy.exact_laws`). With a threshold
test the output is {no answer, labels}, and the divergence is that of the joint law: what the papers
pay twice, for the test and for the answer, is paid once.

NOT RELEASABLE: the value looks at the votes, so it is itself private. It is the benchmark for the
published bounds, which it never exceeds where they apply, and two to three times below on MNIST.

Symbols: a *group* is the classes of one histogram that are interchangeable (equal counts and equal
scores), a *move* takes votes from a class of one group to a class of another.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.privacy.exact_laws import NoisyMaxLaw
from fedpate.privacy.histograms import merged
from fedpate.privacy.log_moments import LogMoments, OrderGrid, as_orders, largest_divergence
from fedpate.records import Floats, Ints

_MOST_GROUPS = 100  # all pairs of them are moves, and each moves the law of all


@dataclass(frozen=True)
class ThresholdTest:
    """A query is answered if the largest score + N(0, scale^2) >= threshold."""

    threshold: float
    scale: float

    def __post_init__(self) -> None:
        _check.finite(**{"mechanism.threshold": self.threshold})
        _check.positive(**{"mechanism.threshold_noise_scale": self.scale})

    def logs(self, statistic: Floats) -> tuple[Floats, Floats]:
        """log Pr[answered] and log Pr[not answered]."""
        z = (statistic - self.threshold) / self.scale
        return np.asarray(special.log_ndtr(z)), np.asarray(special.log_ndtr(-z))


def exact_rdp(
    counts: Ints,
    law: NoisyMaxLaw,
    orders: npt.ArrayLike,
    *,
    test: ThresholdTest | None = None,
    scores: Floats | None = None,
    votes_moved: int = 1,
    both_directions: bool = True,
) -> Floats:
    """Largest Rényi divergence between the votes and any neighbour, per query and order.

    Args:
      counts: (n_queries, n_classes) votes.
      law: how the winner is drawn.
      orders: (n_orders,) numbers > 1, whole or not.
      test: the threshold test before the answer; None answers always.
      scores: (n_queries, n_classes) what the test looks at, moving by one with each vote
        (Interactive: n_j - M p_j); None means the counts.
      votes_moved: votes that one unit can move; more than one needs two classes.
      both_directions: also from the neighbour to the votes, as differential privacy needs; False
        takes the direction that the published bounds cover.

    Returns:
      (n_queries, n_orders). Composes by addition over queries. Not releasable.

    Raises:
      ValueError: `votes_moved` > 1 with more than two classes, or an order <= 1.
      ConfigError: the noise is too small, or with `scores` the classes too many, for the exact law.
    """
    alpha = as_orders(orders)
    if votes_moved > 1 and counts.shape[1] > 2:
        raise ValueError(f"votes_moved={votes_moved} > 1 needs two classes, got {counts.shape[1]}")
    question = _Question(law, test, votes_moved, both_directions, OrderGrid.of(alpha))
    if scores is not None and test is not None:
        rows = (_Groups.of_classes(*row) for row in zip(counts, scores, strict=True))
        return np.array([_worst(row, question) for row in rows])
    different = merged(counts)
    worst = [_worst(_Groups.of_levels(row), question) for row in different.rows]
    return np.array(worst)[different.index]


@dataclass(frozen=True, eq=False)
class _Question:
    """What is asked of every histogram."""

    law: NoisyMaxLaw
    test: ThresholdTest | None
    votes_moved: int
    both_directions: bool
    grid: OrderGrid


@dataclass(frozen=True, eq=False)
class _Groups:
    """One histogram as groups of interchangeable classes; all (n_groups,)."""

    votes: Ints
    sizes: Ints
    scores: Floats

    @classmethod
    def of_levels(cls, counts: Ints) -> "_Groups":
        votes, sizes = np.unique(counts, return_counts=True)
        return cls(votes, sizes, votes.astype(np.float64))

    @classmethod
    def of_classes(cls, counts: Ints, scores: Floats) -> "_Groups":
        pairs = np.column_stack([counts, scores])
        different, sizes = np.unique(pairs, axis=0, return_counts=True)
        if len(different) > _MOST_GROUPS:
            raise ConfigError(
                f"mechanism=interactive has an exact law for at most {_MOST_GROUPS} classes on "
                f"which the student differs, got {counts.shape[0]} classes"
            )
        return cls(different[:, 0].astype(np.int64), sizes, different[:, 1])

    def moves(self, votes_moved: int) -> tuple[Ints, Ints, Ints]:
        """All (from group, to group, number of votes), each (n_moves,)."""
        n = len(self.votes)
        source, target, votes = np.indices((n, n, votes_moved)).reshape(3, -1)
        votes += 1
        two_classes = (source != target) | (self.sizes[source] >= 2)
        possible = two_classes & (self.votes[source] >= votes)
        return source[possible], target[possible], votes[possible]


def _worst(groups: _Groups, question: _Question) -> Floats:
    """(n_orders,) the largest divergence over all moves and directions."""
    source, target, votes = groups.moves(question.votes_moved)
    if not len(source):  # one class: the answer is a constant
        return np.zeros_like(question.grid.steps)
    log_p, log_q, sizes = _outcomes(groups, question.law, source, target, votes)
    if question.test is not None:
        before, after = _statistics(groups, source, target, votes)
        (yes_p, no_p), (yes_q, no_q) = question.test.logs(before), question.test.logs(after)
        log_p = np.column_stack([log_p + yes_p[:, None], no_p])
        log_q = np.column_stack([log_q + yes_q[:, None], no_q])
        sizes = np.column_stack([sizes, np.ones(len(sizes))])
    if question.both_directions:
        log_p, log_q = np.vstack([log_p, log_q]), np.vstack([log_q, log_p])
        sizes = np.vstack([sizes, sizes])
    return largest_divergence(LogMoments(log_p, log_q, sizes), question.grid)


def _outcomes(
    groups: _Groups, law: NoisyMaxLaw, source: Ints, target: Ints, votes: Ints
) -> tuple[Floats, Floats, Floats]:
    """log Pr before and after each move, and how many classes each column stands for.

    Columns: one class of each group that did not move, then the class that lost votes, then the
    one that gained them: (n_moves, n_groups + 2).
    """
    lost, gained = groups.votes[source] - votes, groups.votes[target] + votes
    levels, place = np.unique(np.concatenate([groups.votes, lost, gained]), return_inverse=True)
    at, at_lost, at_gained = np.split(place, [len(groups.votes), len(groups.votes) + len(lost)])
    base = np.bincount(at, weights=groups.sizes, minlength=len(levels)).astype(np.int64)
    moves = np.arange(len(source))
    occupied = np.tile(base, (len(source) + 1, 1))
    for position, change in ((at[source], -1), (at_lost, 1), (at[target], -1), (at_gained, 1)):
        occupied[moves + 1, position] += change
    log = law.log_probabilities(levels.astype(np.float64), occupied)
    same = np.broadcast_to(log[0, at], (len(source), len(at)))
    log_p = np.column_stack([same, log[0, at[source]], log[0, at[target]]])
    moved = log[1:]
    log_q = np.column_stack([moved[:, at], moved[moves, at_lost], moved[moves, at_gained]])
    sizes = np.tile(np.append(groups.sizes, [1, 1]).astype(np.float64), (len(source), 1))
    sizes[moves, source] -= 1
    sizes[moves, target] -= 1
    return log_p, log_q, sizes


def _statistics(groups: _Groups, source: Ints, target: Ints, votes: Ints) -> tuple[Floats, Floats]:
    """The largest score before and after each move; each (n_moves,)."""
    moves = np.arange(len(source))
    left = np.tile(groups.sizes, (len(source), 1))
    left[moves, source] -= 1
    left[moves, target] -= 1
    rest = np.where(left > 0, groups.scores, -np.inf).max(axis=1)
    changed = np.maximum(groups.scores[source] - votes, groups.scores[target] + votes)
    return np.full(len(source), groups.scores.max()), np.maximum(rest, changed)
