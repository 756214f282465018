"""Counting votes in bounded memory: many queries, many teachers, one small table of counts."""

from collections.abc import Sequence

import numpy as np

from fedpate.learning.fitted import FittedTeacher
from fedpate.records import Features, Ints

QUERIES_AT_ONCE = 4096


def count_votes(teachers: Sequence[FittedTeacher], features: Features, n_classes: int) -> Ints:
    """How many teachers predict each class.

    Args:
      teachers: of one hospital, or of all.
      features: (n_queries, ...) as the data set has them; preprocessing is the teachers' own.
      n_classes: number of classes of the federation.

    Returns:
      (n_queries, n_classes) int64; every row sums to the number of teachers.
    """
    counts = np.zeros((len(features), n_classes), np.int64)
    for start in range(0, len(features), QUERIES_AT_ONCE):
        rows = slice(start, start + QUERIES_AT_ONCE)
        batch, table = features[rows], counts[rows]
        queries = np.arange(len(batch))
        for teacher in teachers:
            table[queries, teacher.votes(batch)] += 1
    return counts
