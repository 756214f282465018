"""Vote histograms: validation, and one row for all queries that got the same votes.

A histogram counts the teachers' votes per class, (n_queries, n_classes). Every analysis of a plain
noisy max is the same for permuted classes, so rows are merged after sorting; published votes of
9,000 queries hold 6,550 different ones, small ensembles a few dozen.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fedpate.errors import DataError
from fedpate.records import Ints

Numbers = npt.NDArray[np.integer] | npt.NDArray[np.floating]
MOST_VOTES = 2**40  # far above any ensemble, far below what float64 and int64 hold exactly


def validated(counts: npt.ArrayLike, name: str = "votes") -> Ints:
    """A vote matrix as int64: whole numbers >= 0, every row with the same number of teachers.

    Args:
      counts: (n_queries, n_classes), at least one of each, of any numeric type.
      name: what the message calls it.

    Raises:
      DataError: names the rule and how many rows or cells break it, never a vote.
    """
    array = np.asarray(counts)
    if array.ndim != 2 or 0 in array.shape:
        raise DataError(f"{name} must be (queries, classes) with one of each, got {array.shape}")
    if array.dtype.kind not in "iuf":
        raise DataError(f"{name} must be numbers, got dtype {array.dtype}")
    _require(np.isfinite(array), name, "finite (no NaN)")
    _require(array >= 0, name, ">= 0")
    _require(array <= MOST_VOTES, name, f"at most {MOST_VOTES}")
    votes = array.astype(np.int64)
    _require(votes == array, name, "whole numbers")
    teachers = votes.sum(axis=1)
    if not (teachers == teachers[0]).all():
        raise DataError(
            f"each row of {name} must sum to the same number of teachers, "
            f"rows sum to between {teachers.min()} and {teachers.max()}"
        )
    if teachers[0] < 1:
        raise DataError(f"each row of {name} must sum to at least one teacher, got 0")
    return votes


def _require(good: npt.NDArray[np.bool_], name: str, rule: str) -> None:
    if not good.all():
        raise DataError(f"{name} must be {rule}; {(~good).sum()} of {good.size} cells are not")


@dataclass(frozen=True, eq=False)
class Merged:
    """The different rows of a matrix, and which of them each original row is."""

    rows: Ints  # (n_different, n_columns)
    index: Ints  # (n_rows,) into `rows`

    @property
    def multiplicity(self) -> Ints:
        """(n_different,) how many original rows each stands for."""
        return np.bincount(self.index, minlength=len(self.rows))


def merged(counts: Ints, *, permuted: bool = True) -> Merged:
    """Merge equal histograms; `permuted` also merges those that differ in the order of classes.

    Rows are found by a 64-bit hash and then compared, so the result is exact.
    """
    fast = np.int16 if counts.max(initial=0) < 2**15 else np.int64  # shorter numbers sort faster
    small = np.negative(counts).astype(fast)
    rows = np.negative(np.sort(small, axis=1) if permuted else small)
    weights = np.random.default_rng(0).integers(1, 2**62, rows.shape[1], dtype=np.int64) * 2 + 1
    hashes = rows.astype(np.int64) @ weights  # wraps around, as a hash may
    order = np.argsort(hashes)
    new = np.diff(hashes[order], prepend=hashes[order[:1]] - 1) != 0
    first = order[new]
    index = np.empty(len(rows), dtype=np.int64)
    index[order] = np.cumsum(new) - 1
    if not np.array_equal(rows[first][index], rows):  # a collision: about 1e-12 for 10,000 rows
        different, index = np.unique(rows, axis=0, return_inverse=True)
        return Merged(different.astype(np.int64), index.reshape(-1))
    return Merged(rows[first].astype(np.int64), index)
