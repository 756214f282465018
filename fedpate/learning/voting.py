"""Counting votes in bounded memory: many queries, many teachers, one small table of counts.

Networks of one architecture and one preprocessing answer as a stack, in chunks whose activations
fit a cache (`fitted.ANSWER_BYTES`). Queries are taken `QUERIES_AT_ONCE`, so a million of them need
no more memory than a few thousand do, beside the counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from fedpate.learning import parallel, stacked
from fedpate.learning.fitted import FittedTeacher, TorchTeacher, answers
from fedpate.records import Features, Ints

QUERIES_AT_ONCE = 4096
TEACHERS_AT_ONCE = 16  # in one stack, as in training


def count_votes(
    teachers: Sequence[FittedTeacher], features: Features, n_classes: int, *, device: str = "cpu"
) -> Ints:
    """How many teachers predict each class.

    Args:
      teachers: of one hospital, or of all.
      features: (n_queries, ...) as the data set has them; preprocessing is the teachers' own.
      n_classes: number of classes of the federation.
      device: where networks are evaluated; nothing is trained and no optimizer is built.

    Returns:
      (n_queries, n_classes) int64; every row sums to the number of teachers.
    """
    counts = np.zeros((len(features), n_classes), np.int64)
    booths = _booths(teachers, device)
    for start in range(0, len(features), QUERIES_AT_ONCE):
        batch = features[start : start + QUERIES_AT_ONCE]
        table, queries = counts[start : start + QUERIES_AT_ONCE], np.arange(len(batch))
        for votes in parallel.run_all(partial(_votes, batch), booths):
            for of_one_teacher in votes:
                table[queries, of_one_teacher] += 1
    return counts


def _votes(batch: Features, booth: "_Booth", _: parallel.Stopped) -> Ints:
    return booth.votes(batch)


class _Booth(Protocol):
    """One or more teachers that vote together."""

    def votes(self, features: Features) -> Ints:
        """(teachers, n) classes."""


@dataclass(frozen=True, eq=False)
class _Single:
    """One teacher of any kind."""

    teacher: FittedTeacher

    def votes(self, features: Features) -> Ints:
        """Its own."""
        return self.teacher.votes(features)[None]


@dataclass(frozen=True, eq=False)
class _Stacked:
    """Networks of one architecture and preprocessing."""

    first: TorchTeacher
    stack: stacked.Stack
    device: str

    def votes(self, features: Features) -> Ints:
        """Arg max of the logits, the first of equal ones."""
        votes: Ints = answers(self.first, self.stack, features, self.device).argmax(dim=2).numpy()
        return votes


def _booths(teachers: Sequence[FittedTeacher], device: str) -> list[_Booth]:
    """Teachers that can answer together, together."""
    alike: dict[tuple[object, ...], list[TorchTeacher]] = {}
    booths: list[_Booth] = []
    for teacher in teachers:
        if isinstance(teacher, TorchTeacher):
            alike.setdefault((teacher.net, id(teacher.preprocessing)), []).append(teacher)
        else:
            booths.append(_Single(teacher))
    for same in alike.values():
        for start in range(0, len(same), TEACHERS_AT_ONCE):
            part = same[start : start + TEACHERS_AT_ONCE]
            stack = stacked.stack(part[0].net, [teacher.params for teacher in part])
            booths.append(_Stacked(part[0], [p.to(device) for p in stack], device))
    return booths
