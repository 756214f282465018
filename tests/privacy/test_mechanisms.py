import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import mechanism_laws as laws
from contracts import ACCEPT, CASES, REJECT, MechanismContract, votes_of
from fedpate.errors import ConfigError, PredictionError
from fedpate.privacy import _mechanics
from fedpate.privacy.events import (
    BoundedRange,
    LaplaceVotes,
    NoisyArgmax,
    NoisyThreshold,
    NonPrivate,
    PureDp,
)
from fedpate.privacy.mechanism import LocalMechanism, Mechanism
from fedpate.privacy.mechanisms import (
    MECHANISMS,
    ConfidentMax,
    GaussianMax,
    GumbelMax,
    InteractiveMax,
    LaplaceMax,
    NoNoise,
    PermuteAndFlip,
    RandomizedResponse,
    plain_argmax,
)
from fedpate.privacy.noise import Gaussian, OsEntropy, SeededEntropy
from fedpate.privacy.threshold_mechanisms import disagreement
from fedpate.records import NO_ANSWER, Votes
from golden_values import expected, golden


class TestEveryMechanism(MechanismContract):
    @pytest.fixture(params=CASES, ids=lambda case: case.mechanism.name)
    def case(self, request):
        return request.param


def test_the_contract_covers_the_whole_registry():
    assert [case.mechanism.name for case in CASES] == list(MECHANISMS)
    assert all(type(case.mechanism) is MECHANISMS[case.mechanism.name] for case in CASES)
    assert all(isinstance(case.mechanism, Mechanism) for case in CASES)


def test_only_two_mechanisms_can_be_applied_by_a_hospital():
    local = {case.mechanism.name for case in CASES if isinstance(case.mechanism, LocalMechanism)}
    assert local == {"laplace", "randomized_response"}


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        ("exact_gnmax_law", laws.gaussian_max),
        ("exact_lnmax_law", laws.laplace_max),
        ("exponential_mechanism_law", laws.gumbel_max),
        ("permute_and_flip_law", laws.permute_and_flip),
    ],
)
def test_the_oracle_laws_are_the_golden_ones(kind, law):
    for parameter in golden("mechanism_laws.json", kind):
        (entry,) = parameter.values
        counts, scale = entry["inputs"].values()
        assert law(counts, scale)[1:] == expected(entry)


def test_events_are_the_ones_decided():
    def pieces(mechanism):
        return dict(mechanism.event(10, 3, 4).pieces)

    assert pieces(GaussianMax(40)) == {NoisyArgmax(40.0, 3): 10}
    assert pieces(LaplaceMax(20)) == {LaplaceVotes(20.0, 3): 10}
    assert pieces(GumbelMax(5)) == {BoundedRange(1.2): 10}
    assert pieces(PermuteAndFlip(5)) == {PureDp(1.2): 10}
    gate = {NoisyThreshold(150.0, 3): 10, NoisyArgmax(40.0, 3): 10}
    assert pieces(ConfidentMax(40, 200, 150)) == gate
    assert pieces(InteractiveMax(40, 200, 150, 0.9)) == gate
    ((response, count),) = RandomizedResponse(0.5).event(10, 3, 4).pieces
    assert (response.epsilon, count) == (pytest.approx(np.log(5), rel=1e-15), 30)
    assert pieces(NoNoise()) == {NonPrivate(): 10}


@given(flip=st.floats(1e-6, 1 - 1e-6), n_classes=st.integers(2, 50))
def test_randomized_response_costs_the_worst_ratio_of_its_law(flip, n_classes):
    stays, moves = 1 - flip + flip / n_classes, flip / n_classes
    ((piece, _),) = RandomizedResponse(flip).event(1, 1, n_classes).pieces
    assert piece.epsilon == pytest.approx(np.log(stays / moves), rel=1e-9)


@pytest.mark.parametrize(("threshold_scale", "scale"), [(0.8, 1), (1.25, 1), (1, 0.8), (1, 1.25)])
def test_confident_draws_each_of_its_two_noises_at_its_own_scale(threshold_scale, scale):
    votes = votes_of((12, 8, 0), 60_000)
    labels = ConfidentMax(4.0, 16.0, 6.0).release(votes, OsEntropy()).labels
    observed = np.bincount(labels + 1, minlength=4)
    assert laws.chi_square(observed, laws.confident((12, 8, 0), 4, 16, 6)) > ACCEPT
    other = laws.confident((12, 8, 0), 4 * scale, 16, 6 * threshold_scale)
    assert laws.chi_square(observed, other) < REJECT


def test_interactive_reinforces_a_confident_student_that_the_teachers_do_not_outvote():
    votes, hopeless = votes_of((4, 3, 3), 300), InteractiveMax(1.0, 1e6, 1.0, 0.6)
    student = np.tile([0.2, 0.7, 0.1], (300, 1))
    student[:100] = [0.4, 0.5, 0.1]  # not confident
    labels = hopeless.release(votes, OsEntropy(), student).labels
    assert set(labels[:100]) == {NO_ANSWER}
    assert set(labels[100:]) == {1}
    eager = InteractiveMax(1e-3, -1e6, 1.0, 0.6)
    assert set(eager.release(votes, OsEntropy(), student).labels) == {0}


def test_an_interactive_student_that_knows_nothing_predicts_uniformly():
    votes, mechanism = votes_of((6, 3, 1), 400), InteractiveMax(4.0, 3.0, 2.0, 0.6)
    unknown = mechanism.release(votes, SeededEntropy(1))
    uniform = mechanism.release(votes, SeededEntropy(1), np.full((400, 3), 1 / 3))
    assert unknown.labels.tolist() == uniform.labels.tolist()


@given(
    weights=st.lists(st.floats(0.01, 1), min_size=2, max_size=6),
    choices=st.lists(st.integers(0, 5), min_size=1, max_size=300),
    moved=st.integers(0, 5),
)
def test_a_moved_vote_moves_the_disagreement_by_at_most_one(weights, choices, moved):
    """Exactly, not up to rounding: the price is for a sensitivity of 1."""
    n_classes = len(weights)
    before, after = choices, [moved, *choices[1:]]
    tallies = [np.bincount(np.mod(v, n_classes), minlength=n_classes) for v in (before, after)]
    student = np.tile(np.array(weights) / sum(weights), (2, 1))
    votes = Votes(np.arange(2), np.array(tallies), len(choices))
    one, other = disagreement(votes, student)
    assert abs(one - other) <= 1
    exact = np.max(tallies[0] - len(choices) * student[0])
    assert one == pytest.approx(exact, abs=1e-6)


def test_with_noise_keeps_the_ratio_of_the_two_noises():
    assert ConfidentMax(40, 200, 150).with_noise(80) == ConfidentMax(80, 200, 300)
    assert InteractiveMax(40, 200, 150, 0.9).with_noise(20) == InteractiveMax(20, 200, 75, 0.9)
    assert ConfidentMax(None, 200, 150).with_noise(80) == ConfidentMax(80, 200, 150)


@given(
    counts=st.lists(st.integers(0, 40), min_size=3, max_size=3),
    n_queries=st.integers(1, 60),
    block=st.integers(1, 50),
    seed=st.integers(0, 10**6),
)
def test_blocks_bound_memory_and_change_nothing(counts, n_queries, block, seed):
    votes = votes_of(tuple(counts), n_queries).counts
    whole = _mechanics.noisy_winners(votes, Gaussian(3.0), SeededEntropy(seed))
    randomized = LaplaceMax(3.0).randomize(votes, SeededEntropy(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_mechanics, "BLOCK_CELLS", block)
        pieces = _mechanics.noisy_winners(votes, Gaussian(3.0), SeededEntropy(seed))
        again = LaplaceMax(3.0).randomize(votes, SeededEntropy(seed))
    assert pieces.tolist() == whole.tolist()
    assert again.tolist() == randomized.tolist()


def test_a_hospital_randomizes_its_histogram_with_the_noise_charged():
    counts = np.tile([6, 4, 0], (30_000, 1))
    noise = LaplaceMax(3.0).randomize(counts, OsEntropy()) - counts
    values, observed = np.unique(noise.clip(-20, 20), return_counts=True)
    for factor, accepted in [(1.0, True), (0.8, False), (1.25, False)]:
        cdf = stats.laplace(scale=3.0 * factor).cdf
        upper = np.where(values == 20, np.inf, values + 0.5)
        lower = np.where(values == -20, -np.inf, values - 0.5)
        p_value = laws.chi_square(observed, cdf(upper) - cdf(lower))
        assert p_value > ACCEPT if accepted else p_value < REJECT


@given(
    counts=st.lists(st.integers(0, 30), min_size=2, max_size=5),
    flip=st.floats(0.01, 0.99),
    n_queries=st.integers(1, 20),
)
def test_randomized_response_moves_votes_and_loses_none(counts, flip, n_queries):
    votes = votes_of(tuple(counts), n_queries).counts
    randomized = RandomizedResponse(flip).randomize(votes, OsEntropy())
    assert (randomized >= 0).all()
    assert (randomized.sum(axis=1) == sum(counts)).all()


@pytest.mark.parametrize("flip", [0.3, 0.05])
def test_randomized_response_draws_each_vote_from_its_own_law(flip):
    counts = np.tile([0, 1, 0, 0], (100_000, 1))
    observed = RandomizedResponse(flip).randomize(counts, OsEntropy()).sum(axis=0)
    for factor, accepted in [(1.0, True), (0.8, False), (1.25, False)]:
        moves = factor * flip / 4
        p_value = laws.chi_square(observed, [moves, 1 - 3 * moves, moves, moves])
        assert p_value > ACCEPT if accepted else p_value < REJECT


@given(st.lists(st.lists(st.integers(-5, 5), min_size=3, max_size=3), min_size=1, max_size=30))
def test_plain_argmax_names_a_most_voted_class(rows):
    votes = Votes(np.arange(len(rows)), np.array(rows), 10)
    labels = plain_argmax(votes, OsEntropy()).labels
    assert (votes.counts[np.arange(len(rows)), labels] == votes.counts.max(axis=1)).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianMax(-1.0), r"mechanism\.noise_scale must be finite and > 0, got -1\.0"),
        (lambda: LaplaceMax(0.0), r"mechanism\.noise_scale must be finite and > 0, got 0\.0"),
        (lambda: GumbelMax(float("nan")), r"mechanism\.noise_scale must be finite"),
        (lambda: PermuteAndFlip(1e13), r"mechanism\.noise_scale must be in \[1e-12, 1e\+12\]"),
        (lambda: GaussianMax().event(1, 1, 2), r"mechanism\.noise_scale must be set, or"),
        (lambda: ConfidentMax(4.0), r"mechanism\.threshold must be set"),
        (lambda: ConfidentMax(4.0, 5.0), r"mechanism\.threshold_noise_scale must be set"),
        (lambda: ConfidentMax(4.0, float("inf"), 1.0), r"mechanism\.threshold must be finite"),
        (lambda: ConfidentMax(4.0, 5.0, 0.0), r"mechanism\.threshold_noise_scale must be finite"),
        (lambda: InteractiveMax(4.0, 5.0, 1.0), r"mechanism\.confidence must be set"),
        (lambda: InteractiveMax(4.0, 5.0, 1.0, 1.0), r"mechanism\.confidence must be in \(0, 1\)"),
        (lambda: RandomizedResponse(1.0), r"mechanism\.flip_probability must be in \(0, 1\)"),
        (lambda: RandomizedResponse(1e-13), r"mechanism\.flip_probability must be >= 1e-12"),
        (lambda: RandomizedResponse().event(1, 1, 2), r"mechanism\.flip_probability must be set"),
        (lambda: NoNoise().with_noise(4.0), "mechanism=none has no noise to set"),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_by_name(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    ("student", "message"),
    [
        (np.ones((3, 2)) / 2, r"must have shape \(3, 3\), got \(3, 2\)"),
        (np.full((3, 3), np.nan), "3 of 3 rows do not"),
        (np.array([[1, 0, 0], [0.5, 0.6, 0.1], [1.5, -0.5, 0]]), "2 of 3 rows do not"),
    ],
)
def test_a_student_must_give_probabilities(student, message):
    with pytest.raises(PredictionError, match=message):
        InteractiveMax(4.0, 5.0, 1.0, 0.5).release(votes_of((4, 3, 3), 3), OsEntropy(), student)
