"""Counting votes in bounded memory: many queries, many teachers, one small table of counts.

Networks of one architecture and one preprocessing answer as a stack, in chunks whose activations
fit a cache (`fitted.ANSWER_BYTES`). Queries are taken `QUERIES_AT_ONCE`, so a million of them need
no more memory than a few thousand do, beside the counts. A program of the hospital's own
(`CommandTeacher`) trains whenever it is asked, so it gets all queries of a message in one call.

A soft vote is a teacher's probability vector in whole parts of 1 / `VOTE_PARTS`: sums are exact,
whatever their order, and one teacher's parts always add up to one vote.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

import numpy as np

from fedpate.learning import parallel, stacked
from fedpate.learning.command_teachers import CommandTeacher
from fedpate.learning.fitted import FittedTeacher, TorchTeacher, answers
from fedpate.learning.module_teachers import ModuleTeacher
from fedpate.records import VOTE_PARTS, Features, Floats, Ints

QUERIES_AT_ONCE = 4096
TEACHERS_AT_ONCE = 16  # in one stack, as in training

T = TypeVar("T")


def count_votes(
    teachers: Sequence[FittedTeacher],
    features: Features,
    n_classes: int,
    *,
    device: str = "cpu",
    soft: bool = False,
) -> Ints:
    """How many teachers predict each class.

    Args:
      teachers: of one hospital, or of all.
      features: (n_queries, ...) as the data set has them; preprocessing is the teachers' own.
      n_classes: number of classes of the federation.
      device: where networks are evaluated; nothing is trained and no optimizer is built.
      soft: count every teacher's probabilities, in parts of 1 / VOTE_PARTS.

    Returns:
      (n_queries, n_classes) int64; every row sums to the number of teachers (times VOTE_PARTS).
    """
    counts = np.zeros((len(features), n_classes), np.int64)
    booths = _booths(teachers, device)
    whole = [booth for booth in booths if isinstance(booth, _Program)]
    chunked = [booth for booth in booths if not isinstance(booth, _Program)]
    for table in parallel.run_all(partial(_count, features, n_classes, soft), whole):
        counts += table
    for start in range(0, len(features) if chunked else 0, QUERIES_AT_ONCE):
        batch = features[start : start + QUERIES_AT_ONCE]
        for table in parallel.run_all(partial(_count, batch, n_classes, soft), chunked):
            counts[start : start + QUERIES_AT_ONCE] += table
    return counts


def in_parts(shares: Floats) -> Ints:
    """Probabilities in whole parts: (n, n_classes) on the simplex -> int64, rows sum to VOTE_PARTS.

    Rounded down, and the parts that are left go to the largest remainders, the first of equal ones:
    no entry is off by a part or more.
    """
    clipped = np.clip(shares, 0, None)
    exact = clipped / clipped.sum(axis=1, keepdims=True) * VOTE_PARTS
    parts: Ints = np.floor(exact).astype(np.int64)
    left = VOTE_PARTS - parts.sum(axis=1, keepdims=True)
    order = np.argsort(parts - exact, axis=1, kind="stable")  # the largest remainder first
    places = np.argsort(order, axis=1, kind="stable")
    parts += places < left
    return parts


def tally(votes: "Sequence[Ints] | Ints", n_classes: int) -> Ints:
    """Votes of several teachers, (teachers, n) classes, as (n, n_classes) counts."""
    table = np.asarray(votes)
    n = table.shape[1]
    cells = table + n_classes * np.arange(n)
    return np.bincount(cells.ravel(), minlength=n * n_classes).reshape(n, n_classes)


def _count(
    batch: Features, n_classes: int, soft: bool, booth: "_Booth", _: parallel.Stopped
) -> Ints:
    if not soft:
        return tally(booth.votes(batch), n_classes)
    table = np.zeros((len(batch), n_classes), np.int64)
    for shares in booth.probabilities(batch):
        table += in_parts(shares)
    return table


class _Booth(Protocol):
    """One or more teachers that vote together; one item per teacher."""

    def votes(self, features: Features) -> "Sequence[Ints] | Ints":
        """(n,) classes each."""

    def probabilities(self, features: Features) -> "Sequence[Floats] | Floats":
        """(n, n_classes) each, on the simplex."""


@dataclass(frozen=True, eq=False)
class _Singly:
    """Teachers of any kind, one after the other."""

    teachers: Sequence[FittedTeacher]

    def votes(self, features: Features) -> Sequence[Ints]:
        """Their own."""
        return [teacher.votes(features) for teacher in self.teachers]

    def probabilities(self, features: Features) -> Sequence[Floats]:
        """Their own."""
        return [teacher.probabilities(features) for teacher in self.teachers]


@dataclass(frozen=True, eq=False)
class _Program:
    """A program, which trains at every call."""

    teacher: CommandTeacher

    def votes(self, features: Features) -> Sequence[Ints]:
        """Its own."""
        return [self.teacher.votes(features)]

    def probabilities(self, features: Features) -> Sequence[Floats]:
        """Its own."""
        return [self.teacher.probabilities(features)]


@dataclass(frozen=True, eq=False)
class _OnDevice:
    """Networks that are not stacked."""

    teachers: Sequence[ModuleTeacher]
    device: str

    def votes(self, features: Features) -> Sequence[Ints]:
        """Their own."""
        return [teacher.votes(features, self.device) for teacher in self.teachers]

    def probabilities(self, features: Features) -> Sequence[Floats]:
        """Their own."""
        return [teacher.probabilities(features, self.device) for teacher in self.teachers]


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

    def probabilities(self, features: Features) -> Floats:
        """Softmax of the logits."""
        logits = answers(self.first, self.stack, features, self.device)
        shares: Floats = logits.double().softmax(dim=2).numpy()
        return shares


def _booths(teachers: Sequence[FittedTeacher], device: str) -> list[_Booth]:
    """Teachers that can answer together, together."""
    alike: dict[tuple[object, ...], list[TorchTeacher]] = {}
    others: list[FittedTeacher] = []
    modules: list[ModuleTeacher] = []
    booths: list[_Booth] = []
    for teacher in teachers:
        match teacher:
            case TorchTeacher():
                alike.setdefault((teacher.net, id(teacher.preprocessing)), []).append(teacher)
            case ModuleTeacher():
                modules.append(teacher)
            case CommandTeacher():
                booths.append(_Program(teacher))
            case _:
                others.append(teacher)
    booths += [_OnDevice([teacher], device) for teacher in modules]
    booths += [_Singly(part) for part in _parts(others)]
    for same in alike.values():
        for networks in _parts(same):
            stack = stacked.stack(networks[0].net, [teacher.params for teacher in networks])
            booths.append(_Stacked(networks[0], [p.to(device) for p in stack], device))
    return booths


def _parts(teachers: Sequence[T]) -> list[Sequence[T]]:
    step = TEACHERS_AT_ONCE
    return [teachers[start : start + step] for start in range(0, len(teachers), step)]
