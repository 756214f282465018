"""What every mechanism must keep, and the one list of mechanisms that are tested for it.

A new mechanism adds one line to `CASES`. The oracles are in `mechanism_laws`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

import mechanism_laws as laws
from fedpate.errors import ConfigError
from fedpate.privacy.events import Event, compose
from fedpate.privacy.mechanism import Mechanism
from fedpate.privacy.mechanisms import (
    ConfidentMax,
    GaussianMax,
    GumbelMax,
    InteractiveMax,
    LaplaceMax,
    NoNoise,
    PermuteAndFlip,
    RandomizedResponse,
)
from fedpate.privacy.noise import OsEntropy, SeededEntropy
from fedpate.records import NO_ANSWER, Votes

COUNTS = (7, 2, 1)  # what chi-square tests release; three classes, ten teachers
STUDENT = (0.1, 0.65, 0.25)  # the student's prediction for it
N = 20_000
ACCEPT, REJECT = 1e-9, 1e-12  # p-values: accepting fails once in 10^9, rejecting has power to spare


@dataclass(frozen=True)
class Case:
    """A mechanism, and the exact law of its label for `counts` at `factor` times its noise."""

    mechanism: Mechanism
    law: Callable[[tuple[int, ...], float], np.ndarray]
    noisy: bool = True
    counts: tuple[int, ...] = COUNTS


CASES = [
    Case(LaplaceMax(4.0), lambda n, x: laws.laplace_max(n, 4.0 * x)),
    Case(GaussianMax(4.0), lambda n, x: laws.gaussian_max(n, 4.0 * x)),
    Case(GumbelMax(4.0), lambda n, x: laws.gumbel_max(n, 4.0 * x)),
    Case(PermuteAndFlip(4.0), lambda n, x: laws.permute_and_flip(n, 4.0 * x)),
    Case(ConfidentMax(4.0, 9.0, 6.0), lambda n, x: laws.confident(n, 4 * x, 9, 6 * x)),
    Case(
        InteractiveMax(4.0, 9.0, 6.0, 0.6),
        lambda n, x: laws.interactive(n, 4 * x, 9, 6 * x, 0.6, STUDENT),
    ),
    Case(
        RandomizedResponse(0.5),
        lambda n, x: laws.randomized_response(n, x / (1 + x)),
        counts=(4, 2, 1),
    ),
    Case(NoNoise(), lambda n, _: laws.plain(n), noisy=False),
]


def votes_of(counts: tuple[int, ...], n: int) -> Votes:
    """`n` queries with the same histogram."""
    return Votes(np.arange(n), np.tile(np.int64(counts), (n, 1)), sum(counts))


def frequencies(case: Case, counts: tuple[int, ...], n: int) -> np.ndarray:
    """How often no answer and each class are released, over `n` equal queries."""
    student = np.tile(STUDENT, (n, 1))
    release = case.mechanism.release(votes_of(counts, n), OsEntropy(), student)
    return np.bincount(release.labels - NO_ANSWER, minlength=len(counts) + 1)


class MechanismContract:
    """Inherit, and give a `case` fixture."""

    def test_price_is_known_beforehand_and_never_depends_on_votes(self, case):
        mechanism = case.mechanism
        before = mechanism.event(30, 2, 3)
        for counts in [(10, 0, 0), (4, 3, 3), (0, 1, 9)]:
            mechanism.release(votes_of(counts, 30), OsEntropy(), np.tile(STUDENT, (30, 1)))
            assert mechanism.event(30, 2, 3) == before
        assert Event.from_json(before.to_json()) == before

    def test_every_query_asked_is_charged(self, case):
        one_by_one = compose([case.mechanism.event(1, 2, 3)] * 7)
        at_once = compose([case.mechanism.event(7, 2, 3)])
        assert one_by_one.pieces == at_once.pieces
        assert one_by_one.slack == pytest.approx(at_once.slack, rel=1e-12)
        assert at_once.slack <= 7 * 4 * 2.0**-115  # whatever is drawn, it is close to its law
        assert all(count >= 7 for _, count in at_once.pieces)
        assert case.mechanism.event(0, 2, 3) == Event()

    def test_a_release_answers_exactly_the_ids_asked(self, case):
        ids = np.array([40, -3, 7, 2**40])
        counts = np.array([[5, 4, 1], [0, 10, 0], [3, 3, 4], [10, 0, 0]])
        student = np.tile(STUDENT, (4, 1))
        release = case.mechanism.release(Votes(ids, counts, 10), OsEntropy(), student)
        assert release.query_ids.tolist() == ids.tolist()
        assert release.labels.dtype == np.int64
        assert set(release.labels.tolist()) <= {NO_ANSWER, 0, 1, 2}

    def test_no_queries_and_one_class_are_defined(self, case):
        empty = Votes(np.empty(0, np.int64), np.empty((0, 3), np.int64), 10)
        assert len(case.mechanism.release(empty, OsEntropy(), np.empty((0, 3))).labels) == 0
        one = Votes(np.arange(5), np.full((5, 1), 10), 10)
        labels = case.mechanism.release(one, OsEntropy(), np.ones((5, 1))).labels
        assert set(labels.tolist()) <= {NO_ANSWER, 0}

    def test_the_noise_drawn_is_the_noise_charged(self, case):
        observed = frequencies(case, case.counts, N)
        assert laws.chi_square(observed, case.law(case.counts, 1.0)) > ACCEPT
        for factor in (0.8, 1.25) if case.noisy else ():
            assert laws.chi_square(observed, case.law(case.counts, factor)) < REJECT

    def test_ties_are_broken_uniformly(self, case):
        student = np.full((N, 3), 1 / 3)
        release = case.mechanism.release(votes_of((3, 3, 3), N), OsEntropy(), student)
        observed = np.bincount(release.labels[release.answered], minlength=3)
        assert observed.sum() > 1000
        assert laws.chi_square(observed, np.full(3, 1 / 3)) > ACCEPT

    def test_noise_comes_from_the_entropy_given_and_from_nothing_else(self, case):
        votes, student = votes_of((4, 3, 3), 500), np.tile(STUDENT, (500, 1))
        if not case.noisy:
            votes = votes_of((4, 4, 2), 500)  # only its ties are random

        def labels(entropy):
            return case.mechanism.release(votes, entropy, student).labels.tolist()

        state = np.random.get_state()[1].tolist()  # noqa: NPY002 - it must not move
        assert labels(SeededEntropy(3)) == labels(SeededEntropy(3))
        assert labels(SeededEntropy(3)) != labels(SeededEntropy(4))
        assert labels(OsEntropy()) != labels(OsEntropy())
        assert np.random.get_state()[1].tolist() == state  # noqa: NPY002

    def test_with_noise_changes_the_noise_and_nothing_else(self, case):
        if not case.noisy:
            with pytest.raises(ConfigError, match=case.mechanism.name):
                case.mechanism.with_noise(2.5)
            return
        other = case.mechanism.with_noise(2.5)
        assert type(other) is type(case.mechanism)
        assert other == case.mechanism.with_noise(2.5) != case.mechanism
        assert other.event(1, 1, 3) != case.mechanism.event(1, 1, 3)
