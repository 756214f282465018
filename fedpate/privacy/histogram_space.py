"""All histograms of a small ensemble, and sensitivities by visiting every one of them.

Up to the order of classes, n teachers and m classes have as many histograms as n has partitions
into at most m parts: n/2 + 1 for two classes, 42 for ten teachers and ten classes, 62,740 for
fifty. Where they are few, local sensitivities of *any* function of a histogram are found by walking
the graph whose edges move one vote: no condition on the function is needed.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fedpate.records import Floats, Ints

MOST = 2000  # histograms that are still visited one by one


@lru_cache
def size(n_teachers: int, n_classes: int) -> int:
    """Number of histograms up to the order of classes, or MOST + 1 where there are more."""
    ways = [1] + [0] * n_teachers  # partitions into parts of at most `part`, which are as many
    for part in range(1, min(n_classes, n_teachers) + 1):
        for total in range(part, n_teachers + 1):
            ways[total] = min(ways[total] + ways[total - part], MOST + 1)
    return ways[n_teachers]


@dataclass(frozen=True, eq=False)
class HistogramSpace:
    """Every histogram and its neighbours by one moved vote."""

    rows: Ints  # (n_histograms, n_classes), each falling
    neighbours: Ints  # (n_histograms, most) indices into rows, padded with the row itself

    def find(self, counts: Ints) -> Ints:
        """(n_queries,) the index of each query's histogram, whatever the order of its classes."""
        place = {row.tobytes(): i for i, row in enumerate(self.rows)}
        return np.array([place[row.tobytes()] for row in -np.sort(-counts, axis=1)])

    def local_sensitivities(self, values: Floats) -> Floats:
        """Largest change by one vote within distance d of each histogram.

        Args:
          values: (n_histograms,) any function of them.

        Returns:
          (n_histograms, n_teachers + 1) for d = 0, 1, ..., n_teachers.
        """
        within = np.abs(values[self.neighbours] - values[:, None]).max(axis=1)
        columns = [within]
        for _ in range(int(self.rows[0].sum())):
            within = np.maximum(within, within[self.neighbours].max(axis=1))
            columns.append(within)
        return np.column_stack(columns)


@lru_cache(maxsize=8)
def histogram_space(n_teachers: int, n_classes: int) -> HistogramSpace:
    """The space of a small ensemble.

    Raises:
      ValueError: more than `MOST` histograms.
    """
    if size(n_teachers, n_classes) > MOST:
        raise ValueError(f"more than {MOST} histograms of {n_teachers} votes, {n_classes} classes")
    rows = np.array(_partitions(n_teachers, n_classes, n_teachers), dtype=np.int64)
    place = {row.tobytes(): i for i, row in enumerate(rows)}
    adjacent = [sorted({place[moved.tobytes()] for moved in _moves(row)}) for row in rows]
    most = max(map(len, adjacent), default=0)
    padded = [found + [i] * (most + 1 - len(found)) for i, found in enumerate(adjacent)]
    return HistogramSpace(rows, np.array(padded, dtype=np.int64))


def _partitions(total: int, parts: int, largest: int) -> list[list[int]]:
    """All falling lists of `parts` numbers in [0, largest] that sum to `total`."""
    if total == 0:
        return [[0] * parts]
    if parts == 1:
        return [[total]] if total <= largest else []
    return [
        [first, *rest]
        for first in range(min(total, largest), -(-total // parts) - 1, -1)
        for rest in _partitions(total - first, parts - 1, first)
    ]


def _moves(row: Ints) -> list[Ints]:
    moved = []
    voted = int((row > 0).sum())
    for source in range(voted):
        for target in range(min(voted + 1, len(row))):  # one class without a vote is like another
            if source != target:
                other = row.copy()
                other[source] -= 1
                other[target] += 1
                moved.append(-np.sort(-other))
    return moved
