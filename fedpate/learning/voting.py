"""Counting votes in bounded memory: many queries, many teachers, one small table of counts.

Networks of one architecture and one preprocessing answer as a stack. Queries are taken in chunks
whose activations are bounded by `fitted.ANSWER_BYTES`, so a million queries to 250 teachers need no
more memory than a thousand do, beside the counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fedpate.learning import parallel, stacked
from fedpate.learning.fitted import ANSWER_BYTES, FittedTeacher, TorchTeacher, as_records
from fedpate.records import Features, Ints

QUERIES_AT_ONCE = 8192  # at most; fewer for large records
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
    step = min([QUERIES_AT_ONCE, *(booth.queries_at_once for booth in booths)])
    for start in range(0, len(features), step):
        batch = features[start : start + step]
        votes = parallel.run_all(lambda booth, _: booth.votes(batch), booths)  # noqa: B023 - used at once
        for queries_by_teacher in votes:
            for answers in queries_by_teacher:
                counts[np.arange(start, start + len(batch)), answers] += 1
    return counts


@dataclass(frozen=True, eq=False)
class _Single:
    """One teacher of any kind."""

    teacher: FittedTeacher
    queries_at_once: int = QUERIES_AT_ONCE

    def votes(self, features: Features) -> Ints:
        """(1, n) classes."""
        return self.teacher.votes(features)[None]


@dataclass(frozen=True, eq=False)
class _Stacked:
    """Networks of one architecture and preprocessing."""

    first: TorchTeacher
    stack: stacked.Stack
    device: str

    @property
    def queries_at_once(self) -> int:
        """As many as the bound on activations allows, at least one."""
        models = len(self.stack[0])
        return max(1, ANSWER_BYTES // (4 * models * self.first.net.activations))

    def votes(self, features: Features) -> Ints:
        """(models, n) classes: arg max of the logits, the first of equal ones."""
        with torch.inference_mode():
            records = as_records(self.first, features).to(self.device)
            return stacked.logits(self.first.net, self.stack, records).argmax(dim=2).cpu().numpy()


def _booths(teachers: Sequence[FittedTeacher], device: str) -> list[_Single | _Stacked]:
    """Teachers that can answer together, together."""
    alike: dict[tuple[object, ...], list[TorchTeacher]] = {}
    booths: list[_Single | _Stacked] = []
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
