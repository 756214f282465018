"""The records that pass between the parts: frozen, validated, and all that crosses a seam.

Axes: queries x classes. `query_ids` are int64 and unique within one record. A vote is one teacher's
prediction for one query; a hospital sends the sum over its own k teachers.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedpate.errors import PredictionError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Features = npt.NDArray[np.float32] | npt.NDArray[np.uint8]
Rows = npt.NDArray[np.integer] | npt.NDArray[np.bool_] | slice

NO_ANSWER = -1  # the label of a query that the mechanism did not answer
# A soft vote is a probability vector in whole parts of this size; a power of two, so that parts are
# exact in float32 for up to 2^14 teachers.
VOTE_PARTS = 1024


ROWS_AT_ONCE = 4096  # of a large pool that are copied to be hashed


def content_hash(*arrays: npt.NDArray[np.generic]) -> str:
    """SHA-256 over dtype, shape and bytes of each array, as hexadecimal."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(_header(array.dtype, array.shape))
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _header(dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """What is hashed before an array's bytes."""
    return f"{dtype.str}{shape}".encode()


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
    """Unlabeled records that the coordinator asks about.

    `take` copies no record: a choice from a pool of a million images costs its ids only. Records
    are copied when `features` is read.
    """

    query_ids: Ints  # (n_queries,)
    source: Features  # (n_source, ...) records, of which the queries are some or all
    rows: Ints | None = None  # (n_queries,) rows of `source`; None: all, in order

    def __post_init__(self) -> None:
        _require_unique_ids(self.query_ids)
        n_rows = len(self.source if self.rows is None else self.rows)
        if n_rows != len(self.query_ids):
            raise PredictionError(
                f"features must have one row per query, got {n_rows} rows "
                f"for {len(self.query_ids)} queries"
            )

    def __len__(self) -> int:
        return len(self.query_ids)

    @property
    def features(self) -> Features:
        """(n_queries, ...) the records; a copy of them unless they are a whole source."""
        return self.source if self.rows is None else self.source[self.rows]

    @property
    def row_bytes(self) -> int:
        """What one record takes."""
        return self.source.itemsize * math.prod(self.source.shape[1:])

    def hash(self) -> str:
        """Content hash over ids and features: the same batch has the same hash everywhere."""
        digest = hashlib.sha256()
        shape = (len(self), *self.source.shape[1:])
        for header, chunks in (
            (_header(self.query_ids.dtype, self.query_ids.shape), [self.query_ids]),
            (_header(self.source.dtype, shape), self._chunks()),
        ):
            digest.update(header)
            for chunk in chunks:
                digest.update(np.ascontiguousarray(chunk).tobytes())
        return digest.hexdigest()

    def row_hashes(self) -> list[str]:
        """One content hash per query, over its features only: the same record, the same hash."""
        header, width = _header(self.source.dtype, self.source.shape[1:]), self.row_bytes
        hashes: list[str] = []
        for chunk in self._chunks():
            data = np.ascontiguousarray(chunk).tobytes()
            for at in range(len(chunk)):
                row = data[at * width : (at + 1) * width]
                hashes.append(hashlib.sha256(header + row).hexdigest())
        return hashes

    def take(self, rows: Rows) -> "QueryBatch":
        """The batch of the given rows, in that order."""
        if self.rows is None and isinstance(rows, slice):
            return QueryBatch(self.query_ids[rows], self.source[rows])  # a view
        kept = np.arange(len(self)) if self.rows is None else self.rows
        return QueryBatch(self.query_ids[rows], self.source, kept[rows])

    def _chunks(self) -> Iterator[Features]:
        for start in range(0, len(self), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            yield self.source[part if self.rows is None else self.rows[part]]


@dataclass(frozen=True, eq=False)
class PredictionVectors:
    """One hospital's answer to one query batch: all that ever leaves the hospital.

    `randomized` answers (trust=local) carry the hospital's own noise: integers of either sign whose
    rows need not sum to `n_teachers`. Soft votes are counted in parts of 1 / `parts` of a vote.
    """

    query_ids: Ints  # (n_queries,)
    votes: Ints  # (n_queries, n_classes) counts; rows sum to n_teachers * parts unless randomized
    n_teachers: int
    randomized: bool = False
    parts: int = 1  # VOTE_PARTS for soft votes

    def __post_init__(self) -> None:
        _require_unique_ids(self.query_ids)
        if self.votes.ndim != 2 or len(self.votes) != len(self.query_ids):
            expected = f"(n_queries={len(self.query_ids)}, n_classes)"
            raise PredictionError(f"votes must have shape {expected}, got {self.votes.shape}")
        if self.votes.dtype != np.int64:
            raise PredictionError(f"votes must be int64 counts, got {self.votes.dtype}")
        if self.n_teachers < 1:
            raise PredictionError(f"n_teachers must be >= 1, got {self.n_teachers}")
        if self.parts not in (1, VOTE_PARTS) or (self.randomized and self.parts != 1):
            raise PredictionError(
                f"votes must be whole, or in {VOTE_PARTS} parts and not randomized, "
                f"got {self.parts}"
            )
        if self.randomized:
            return
        total = self.n_teachers * self.parts
        good = (self.votes >= 0).all(axis=1) & (self.votes.sum(axis=1) == total)
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
    parts: int = 1  # how many make a vote: VOTE_PARTS for soft votes

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
            if answer.parts != first.parts:
                raise PredictionError("all answers must be whole votes, or all soft ones")
            if not np.array_equal(answer.query_ids, first.query_ids):
                raise PredictionError("all answers must be to the same query_ids in the same order")
            counts += answer.votes
        n_teachers = sum(answer.n_teachers for answer in answers)
        return cls(first.query_ids, counts, n_teachers, first.parts)

    def take(self, rows: Rows) -> "Votes":
        """The votes on the given rows, in that order."""
        return Votes(self.query_ids[rows], self.counts[rows], self.n_teachers, self.parts)


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
