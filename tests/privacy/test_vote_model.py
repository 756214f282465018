"""The votes a plan expects: their moments, their sums, and where they come from."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fedpate.errors import ConfigError, DataError
from fedpate.privacy.vote_model import N_SAMPLE, Pilot, VoteModel, VoteSample

histograms = hnp.arrays(
    np.int64, st.tuples(st.integers(1, 5), st.integers(2, 25)), elements=st.integers(0, 9)
)


@pytest.mark.parametrize("accuracy", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("correlation", [0.0, 0.15, 0.6])
@pytest.mark.parametrize("teachers", [10, 250])
def test_accuracy_and_correlation_are_those_asked_for(accuracy, correlation, teachers):
    right = VoteModel(accuracy, correlation).sample(teachers, 10).right / teachers
    # beta-binomial: the variance of a share is p (1 - p) (1 + (n - 1) c) / n
    variance = accuracy * (1 - accuracy) * (1 + (teachers - 1) * correlation) / teachers
    assert right.mean() == pytest.approx(accuracy, abs=0.003)
    assert right.var() == pytest.approx(variance, rel=0.08)


@pytest.mark.parametrize(("teachers", "classes"), [(1, 2), (7, 3), (250, 10), (250, 1000)])
def test_every_teacher_votes_once_and_every_class_is_counted(teachers, classes):
    sample = VoteModel().sample(teachers, classes)
    assert len(sample.right) == N_SAMPLE
    assert (sample.right + (sample.others * sample.times).sum(axis=1) == teachers).all()
    assert (sample.times.sum(axis=1) == classes - 1).all()
    assert (np.diff(sample.others, axis=1) <= 0).all()


def test_the_rival_has_its_share_of_the_wrong_votes():
    sample = VoteModel(0.4, 0.1, rival_share=0.8).sample(500, 10)
    wrong = 500 - sample.right
    assert sample.others[:, 0].sum() / wrong.sum() == pytest.approx(0.8, abs=0.01)


def test_the_same_question_has_the_same_votes():
    one, other = (VoteModel().sample(50, 10) for _ in range(2))
    np.testing.assert_array_equal(one.others, other.others)


@given(histograms, st.data())
def test_a_sample_keeps_the_votes_and_the_odds_of_the_plain_vote(counts, data):
    truth = np.array([data.draw(st.integers(0, counts.shape[1] - 1)) for _ in counts])
    sample = VoteSample.of(counts, truth)
    odds = []
    for row, (histogram, label) in enumerate(zip(counts, truth, strict=True)):
        others = np.repeat(sample.others[row], sample.times[row])
        assert sample.right[row] == histogram[label]
        assert sorted(others) == sorted(np.delete(histogram, label))
        winners = np.flatnonzero(histogram == histogram.max())
        odds.append((label in winners) / len(winners))
    assert sample.without_noise == pytest.approx(np.mean(odds))
    np.testing.assert_array_equal(sample.largest, counts.max(axis=1))


def test_a_pilot_gives_its_own_votes_or_as_many_as_are_planned_for():
    counts = np.array([[6, 4, 0], [0, 1, 9], [5, 0, 5]])
    own = Pilot(counts, np.array([0, 2, 2])).sample(10, 3)
    assert own.right.tolist() == [6, 9, 5]
    more = Pilot(np.tile(counts, (400, 1))).sample(1000, 3)
    assert len(more.right) == N_SAMPLE
    totals = more.right + more.others.sum(axis=1)
    assert (totals == 1000).all()
    assert more.right.mean() == pytest.approx(1000 * (0.6 + 0.9 + 0.5) / 3, rel=0.02)


def test_a_large_pilot_is_thinned_without_moving_its_odds():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(30, [0.4, 0.35, 0.25], size=9000)
    truth = np.zeros(9000, dtype=np.int64)
    full, thin = VoteSample.of(counts, truth), Pilot(counts, truth).sample(30, 3)
    assert len(thin.right) == N_SAMPLE
    assert thin.without_noise == pytest.approx(full.without_noise, abs=1e-3)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"teacher_accuracy": 1.0}, r"teacher_accuracy must be in \(0, 1\)"),
        ({"correlation": 1.0}, r"correlation must be in \[0, 1\)"),
        ({"correlation": float("nan")}, r"correlation must be in \[0, 1\)"),
        ({"rival_share": 1.5}, r"rival_share must be in \[0, 1\]"),
    ],
)
def test_impossible_models_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        VoteModel(**settings)


@pytest.mark.parametrize(
    ("counts", "truth", "message"),
    [
        ([1, 2], None, r"must be \(queries, classes >= 2\)"),
        ([[1, 2], [2, 2]], None, "one and the same sum"),
        ([[-1, 4], [1, 2]], None, "counts >= 0"),
        ([[0, 0]], None, "one and the same sum"),
        ([[1, 2]], [0, 1], r"must have shape \(1,\)"),
        ([[1, 2]], [2], r"classes in \[0, 2\)"),
    ],
)
def test_a_pilot_that_is_none_is_refused(counts, truth, message):
    with pytest.raises(DataError, match=message):
        Pilot(np.array(counts), None if truth is None else np.array(truth))


def test_a_pilot_knows_its_classes():
    with pytest.raises(ConfigError, match="classes must be 2, as in the pilot, got 3"):
        Pilot(np.array([[1, 2]])).sample(3, 3)
