"""The records that pass between the parts: frozen, validated, and all that crosses a seam.

Axes: queries x classes. `query_ids` are int64 and unique within one record. A vote is one teacher's
prediction for one query; a hospital sends the sum over its own k teachers.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedpate.errors import PredictionError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
Rows = npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice

NO_ANSWER = -1  # the label of a query that the mechanism did not answer


def content_hash(*arrays: npt.NDArray[np.generic]) -> str:
    """SHA-256 over dtype, shape and bytes of each array, as hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _require_unique_ids(query_ids: Ints) -> None:
    if query_ids.ndim != 1 or query_ids.dtype != np.int64:
        raise PredictionError(
            f"query_ids must be a 1-D int64 array, got {query_ids.dtype} {query_ids.shape}"
        )
    if len(np.unique(query_ids)) != len(query_ids):
        raise PredictionError("query_ids must be unique, some occur twice")


@dataclass(frozen=True, eq=False)
class LabelledData:
    """Records with their labels: what one teacher is trained on, or what a student is tested on."""

    features: Features  # (n_records, ...) float32 or uint8
    labels: Ints  # (n_records,) in [0, n_classes)
    n_classes: int

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class QueryBatch:
    """Unlabeled records that the coordinator asks about."""

    query_ids: Ints  # (n_queries,)
    features: Features  # (n_queries, ...)

    def __post_init__(self) -> None:
        _require_unique_ids(self.query_ids)
        if len(self.features) != len(self.query_ids):
            raise PredictionError(
                f"features must have one row per query, got {len(self.features)} rows "
                f"for {len(self.query_ids)} queries"
            )

    def __len__(self) -> int:
        return len(self.query_ids)

    def hash(self) -> str:
        """Content hash over ids and features: the same batch has the same hash everywhere."""
        return content_hash(self.query_ids, self.features)

    def row_hashes(self) -> list[str]:
        """One content hash per query, over its features only: the same record, the same hash."""
        return [content_hash(row) for row in self.features]

    def take(self, rows: Rows) -> "QueryBatch":
        """The batch of the given rows, in that order."""
        return QueryBatch(self.query_ids[rows], self.features[rows])


@dataclass(frozen=True, eq=False)
class PredictionVectors:
    """One hospital's answer to one query batch: all that ever leaves the hospital.

    `randomized` answers (trust=local) carry the hospital's own noise: integers of either sign whose
    rows need not sum to `n_teachers`.
    """

    query_ids: Ints  # (n_queries,)
    votes: Ints  # (n_queries, n_classes) counts; rows sum to n_teachers unless randomized
    n_teachers: int
    randomized: bool = False

    def __post_init__(self) -> None:
        _require_unique_ids(self.query_ids)
        if self.votes.ndim != 2 or len(self.votes) != len(self.query_ids):
            expected = f"(n_queries={len(self.query_ids)}, n_classes)"
            raise PredictionError(f"votes must have shape {expected}, got {self.votes.shape}")
        if self.votes.dtype != np.int64:
            raise PredictionError(f"votes must be int64 counts, got {self.votes.dtype}")
        if self.n_teachers < 1:
            raise PredictionError(f"n_teachers must be >= 1, got {self.n_teachers}")
        if self.randomized:
            return
        good = (self.votes >= 0).all(axis=1) & (self.votes.sum(axis=1) == self.n_teachers)
        if not good.all():
            raise PredictionError(
                f"each row of votes must be >= 0 and sum to n_teachers={self.n_teachers}; "
                f"{(~good).sum()} of {len(good)} rows do not"
            )


@dataclass(frozen=True, eq=False)
class Votes:
    """The tally of all hospitals' answers to one query batch. Sensitive: never leaves the tally."""

    query_ids: Ints  # (n_queries,)
    counts: Ints  # (n_queries, n_classes)
    n_teachers: int  # teachers that voted, over all hospitals

    @classmethod
    def tally(cls, answers: Sequence[PredictionVectors]) -> "Votes":
        """Sum the answers of distinct hospitals; all must answer the same queries in order.

        Raises:
          PredictionError: no answers, or answers to different queries or classes.
        """
        if not answers:
            raise PredictionError("a tally needs at least one answer, got 0")
        first = answers[0]
        counts = first.votes.copy()
        for answer in answers[1:]:
            if answer.votes.shape != first.votes.shape:
                raise PredictionError(
                    f"votes must have shape {first.votes.shape}, got {answer.votes.shape}"
                )
            if not np.array_equal(answer.query_ids, first.query_ids):
                raise PredictionError("all answers must be to the same query_ids in the same order")
            counts += answer.votes
        return cls(first.query_ids, counts, sum(answer.n_teachers for answer in answers))

    def take(self, rows: Rows) -> "Votes":
        """The votes on the given rows, in that order."""
        return Votes(self.query_ids[rows], self.counts[rows], self.n_teachers)


@dataclass(frozen=True, eq=False)
class Release:
    """Public labels: all that a student ever sees. `NO_ANSWER` marks an unanswered query."""

    query_ids: Ints  # (n_queries,)
    labels: Ints  # (n_queries,) in [0, n_classes), or NO_ANSWER

    def __post_init__(self) -> None:
        _require_unique_ids(self.query_ids)
        if self.labels.shape != self.query_ids.shape:
            raise PredictionError(
                f"labels must have shape {self.query_ids.shape}, got {self.labels.shape}"
            )

    @property
    def answered(self) -> npt.NDArray[np.bool_]:
        """(n_queries,) which queries have a label."""
        return np.not_equal(self.labels, NO_ANSWER)
