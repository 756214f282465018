"""Parallel federations: remove each teacher, or one patient, and see which labels hang on it.

What is seen here depends on the votes: it can disprove a claim, and it never sets a noise scale
(`sensitivity`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedpate import _check
from fedpate.errors import AuditFailed, DataError
from fedpate.privacy.mechanisms import LaplaceMax
from fedpate.privacy.noise import Entropy, OsEntropy
from fedpate.privacy.sensitivity import REMOVE_ONE
from fedpate.records import Ints, Votes


@dataclass(frozen=True, eq=False)
class VoteSensitivity:
    """A votes file and its parallel federations, each without one teacher.

    Without a teacher each row of counts loses one vote in one class: L1 = L2 = 1 (replaced: L1 2,
    L2 sqrt 2), whatever the votes. What differs is whether a label hangs on it.
    """

    counts: Ints  # (n_queries, n_classes)
    decisive: npt.NDArray[np.bool_]  # (n_queries, n_teachers): without it the winners change
    epsilon: float | None  # per query, replace-one
    noisy_labels: Ints  # (n_queries,) at epsilon; empty without it

    @property
    def noise_scale(self) -> float | None:
        """Of the Laplace noise on every count: the L1 bound 2 of a replaced vote over epsilon."""
        return None if self.epsilon is None else 2 / self.epsilon

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        n_queries, n_teachers = self.decisive.shape
        by_teacher = self.decisive.sum(axis=0)
        agree = self.counts.argmax(axis=1) == self.noisy_labels if self.epsilon else None
        return {
            "queries": n_queries,
            "teachers": n_teachers,
            "classes": self.counts.shape[1],
            "relation": REMOVE_ONE,
            "empirical_sensitivity": {"l1": 1, "labels": int(by_teacher.max())},
            "theoretical_bound": {"l1": 1, "labels": n_queries},
            "pivotal_teachers": np.flatnonzero(by_teacher).tolist(),
            "pivotal_queries": np.flatnonzero(self.decisive.any(axis=1)).tolist(),
            "epsilon_per_query": self.epsilon,
            "noise_scale": self.noise_scale,
            "noisy_labels": self.noisy_labels.tolist(),
            "noisy_labels_equal": None if agree is None else int(agree.sum()),
        }


def vote_sensitivity(
    predictions: Ints,
    n_classes: int,
    *,
    epsilon: float | None = None,
    entropy: Entropy | None = None,
) -> VoteSensitivity:
    """Remove each teacher in turn.

    Args:
      predictions: (n_queries, n_teachers) predicted classes, one column per teacher.
      n_classes: how many classes there are; not taken from the votes, which may miss some.
      epsilon: per query, for the noisy labels.
      entropy: where the noise comes from; the operating system by default.

    Raises:
      DataError: not (queries, teachers >= 2) classes in [0, n_classes).
    """
    predictions = _classes(predictions, n_classes)
    n_queries, n_teachers = predictions.shape
    counts = np.zeros((n_queries, n_classes), dtype=np.int64)
    np.add.at(counts, (np.arange(n_queries)[:, None], predictions), 1)
    votes_for_own = np.take_along_axis(counts, predictions, axis=1)
    second, first = np.partition(counts, -2, axis=1)[:, -2:].T
    # A winner that loses a vote moves the set of winners if another class draws level or leads.
    decisive = (votes_for_own == first[:, None]) & (first - second <= 1)[:, None]
    labels = np.empty(0, dtype=np.int64)
    if epsilon is not None:
        _check.positive(epsilon=epsilon)
        votes = Votes(np.arange(n_queries), counts, n_teachers)
        labels = LaplaceMax(2 / epsilon).release(votes, entropy or OsEntropy()).labels
    return VoteSensitivity(counts, decisive, epsilon, labels)


def _classes(predictions: npt.NDArray[Any], n_classes: int) -> Ints:
    _check.at_least(2, n_classes=n_classes)
    if predictions.ndim != 2 or predictions.shape[0] < 1 or predictions.shape[1] < 2:
        raise DataError(
            "votes must have one row per query and one column per teacher (2 or more), "
            f"got shape {predictions.shape}"
        )
    if not np.issubdtype(predictions.dtype, np.integer):
        raise DataError(f"votes must be whole numbers (classes), got {predictions.dtype}")
    if bad := int(((predictions < 0) | (predictions >= n_classes)).sum()):
        raise DataError(f"votes must be classes in [0, {n_classes}), {bad} are not")
    return predictions.astype(np.int64)


def require_one_teacher_moved(before: Ints, after: Ints) -> int | None:
    """Leave one patient out, retrain, compare: who changed their mind?

    The patient guarantee rests on one patient being in one shard, hence in one teacher.

    Args:
      before: (n_queries, n_teachers) predicted classes with the patient.
      after: the same teachers without; the same seeds everywhere.

    Returns:
      The teacher (column) that changed, or None.

    Raises:
      AuditFailed: more than one teacher changed, so the guarantee does not hold.
      DataError: `before` and `after` have different shapes.
    """
    if before.ndim != 2 or before.shape != after.shape:
        raise DataError(
            f"predictions before and after must have one shape, got {before.shape}, {after.shape}"
        )
    changed = np.flatnonzero((before != after).any(axis=0))
    if len(changed) > 1:
        raise AuditFailed(
            f"audit.leave_one_out: leaving out one patient must change at most 1 teacher, it "
            f"changed {len(changed)} of {before.shape[1]}; patients or preprocessing are shared"
        )
    return int(changed[0]) if len(changed) else None
