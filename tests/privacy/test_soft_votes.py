"""Soft votes: the noise drawn for fractional tallies is the noise charged."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import mechanism_laws as laws
from contracts import ACCEPT, REJECT, Case
from fedpate.errors import ConfigError
from fedpate.privacy.accounting import guarantee
from fedpate.privacy.events import GaussianVotes, LaplaceVotes, NoisyArgmax
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
from fedpate.privacy.soft_votes import SoftVoting, as_voted, registered
from fedpate.records import VOTE_PARTS, Votes

N = 20_000
COUNTS = (5.5, 3.21875, 1.28125)  # votes; whole parts of 1 / 1024, no two apart by whole votes
CASES = [
    Case(GaussianMax(3.0), lambda n, x: laws.gaussian_max(n, 3.0 * x)),
    Case(LaplaceMax(3.0), lambda n, x: laws.laplace_max(n, 3.0 * x)),
    Case(GumbelMax(3.0), lambda n, x: laws.gumbel_max(n, 3.0 * x)),
    Case(PermuteAndFlip(3.0), lambda n, x: laws.permute_and_flip(n, 3.0 * x)),
    Case(NoNoise(), lambda n, _: laws.plain(n), noisy=False),
]
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.mechanism.name)


def tally(n: int, counts=COUNTS) -> Votes:
    parts = np.round(np.array(counts) * VOTE_PARTS).astype(np.int64)
    assert (parts / VOTE_PARTS == counts).all()
    return Votes(np.arange(n), np.tile(parts, (n, 1)), 10, VOTE_PARTS)


@each_case
def test_the_noise_drawn_is_the_noise_charged_on_fractional_tallies(case):
    mechanism = as_voted(case.mechanism, "probabilities")
    labels = mechanism.release(tally(N), OsEntropy()).labels
    observed = np.bincount(labels + 1, minlength=4)
    assert laws.chi_square(observed, case.law(COUNTS, 1.0)) > ACCEPT
    for factor in (0.8, 1.25) if case.noisy else ():
        assert laws.chi_square(observed, case.law(COUNTS, factor)) < REJECT
    if case.noisy:  # rounding the tally to whole votes would be seen
        rounded = case.law(tuple(map(round, COUNTS)), 1.0)
        assert laws.chi_square(observed, rounded) < REJECT
        assert (
            mechanism.release(tally(50), SeededEntropy(1)).labels.tolist()
            == mechanism.release(tally(50), SeededEntropy(1)).labels.tolist()
        )


@each_case
def test_the_price_is_that_of_the_vector_never_of_one_moved_hard_vote(case):
    mechanism = as_voted(case.mechanism, "probabilities")
    assert mechanism.name == case.mechanism.name
    assert mechanism.noise_scale == case.mechanism.noise_scale
    assert registered(mechanism) == case.mechanism
    event = mechanism.event(30, 2, 3)
    assert not any(isinstance(piece, NoisyArgmax) for piece, _ in event.pieces)
    assert all(count == 30 for _, count in event.pieces)
    assert mechanism.event(0, 2, 3) == case.mechanism.event(0, 2, 3)
    soft, hard = (guarantee(one.event(30, 2, 3), 1e-5) for one in (mechanism, case.mechanism))
    assert soft.epsilon >= hard.epsilon


def test_gnmax_is_charged_as_a_gaussian_with_l2_sensitivity_sqrt_2_per_vote():
    event = as_voted(GaussianMax(40.0), "probabilities").event(100, 3, 10)
    assert event.pieces == ((GaussianVotes(40.0, 3), 100),)
    found = guarantee(as_voted(GaussianMax(40.0), "probabilities").event(100, 1, 10), 1e-5)
    assert found.bound == "gaussian"
    assert found.epsilon == pytest.approx(1.356, abs=2e-3)  # of the closed form
    laplace = as_voted(LaplaceMax(5.0), "probabilities").event(7, 2, 10)
    assert laplace.pieces == ((LaplaceVotes(5.0, 2), 7),)


def test_the_noise_scale_stays_in_votes():
    mechanism = as_voted(GaussianMax(None), "probabilities")
    assert mechanism.noise_scale is None
    assert mechanism.with_noise(5.0) == SoftVoting(GaussianMax(5.0))


@pytest.mark.parametrize(
    "mechanism", [ConfidentMax(4, 9, 6), InteractiveMax(4, 9, 6, 0.6), RandomizedResponse(0.5)]
)
def test_mechanisms_for_whole_votes_refuse_parts(mechanism):
    with pytest.raises(ConfigError, match="votes=probabilities needs a mechanism that takes parts"):
        as_voted(mechanism, "probabilities")
    assert as_voted(mechanism, "labels") is mechanism


@pytest.mark.parametrize(
    "mechanism",
    [
        *(case.mechanism for case in CASES if case.noisy),
        ConfidentMax(4, 9, 6),
        InteractiveMax(4, 9, 6, 0.6),
        RandomizedResponse(0.5),
    ],
    ids=lambda mechanism: mechanism.name,
)
def test_noise_in_votes_is_never_added_to_parts(mechanism):
    with pytest.raises(ValueError, match="takes whole votes, got parts"):
        mechanism.release(tally(3), OsEntropy(), np.full((3, 3), 1 / 3))
    with pytest.raises(ValueError, match="must be in parts"):
        SoftVoting(GaussianMax(3.0)).release(
            Votes(np.arange(2), np.ones((2, 3), np.int64), 3), OsEntropy()
        )


vectors = st.integers(2, 6).flatmap(
    lambda classes: hnp.arrays(np.float64, (2, 3, classes), elements=st.floats(1e-3, 1.0))
)


@given(vectors)
@settings(max_examples=100)
def test_replaced_vectors_move_a_tally_no_further_than_moved_votes_do(pairs):
    from fedpate.learning.voting import in_parts

    shares = pairs / pairs.sum(axis=2, keepdims=True)
    before, after = (in_parts(vectors) for vectors in shares)  # (3 teachers, classes) each
    moved = (after.sum(axis=0) - before.sum(axis=0)) / VOTE_PARTS
    v = 3
    assert moved.sum() == 0
    assert np.abs(moved).max() <= v
    assert np.abs(moved).sum() <= 2 * v
    assert np.linalg.norm(moved) <= math.sqrt(2) * v + 1e-12
