import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats
from sklearn.metrics import roc_auc_score

from fedpate.errors import ConfigError
from fedpate.privacy.canaries import (
    membership_auc,
    one_run_audit,
    one_run_epsilon,
    one_run_p_value,
)
from fedpate.rng import stream
from golden_values import expected, golden

scores = st.lists(st.integers(-5, 5), min_size=1, max_size=40).map(lambda x: np.array(x, float))


@pytest.mark.parametrize("entry", golden("one_run.json", "one_run"))
def test_epsilon_is_that_of_the_published_code(entry):
    assert one_run_epsilon(**entry["inputs"]) == expected(entry)


@settings(max_examples=40)
@given(guesses=st.integers(1, 3000), error=st.floats(1e-6, 0.4))
def test_all_guesses_right_has_a_closed_form(guesses, error):
    bound = one_run_epsilon(3000, guesses, guesses, 1e-300, 1 - error)
    assert bound == pytest.approx(max(0.0, special.logit(error ** (1 / guesses))), rel=1e-6)


@given(
    guesses=st.integers(1, 200),
    epsilon=st.floats(0, 8),
    delta=st.sampled_from([1e-9, 1e-5, 1e-3]),
    data=st.data(),
)
def test_more_right_guesses_and_smaller_deltas_show_more(guesses, epsilon, delta, data):
    correct = data.draw(st.integers(0, guesses - 1))
    more = one_run_p_value(200, guesses, correct + 1, epsilon, delta)
    assert more <= one_run_p_value(200, guesses, correct, epsilon, delta) + 1e-12
    assert more <= one_run_p_value(200, guesses, correct + 1, epsilon, 10 * delta) + 1e-12


def test_a_student_that_leaks_epsilon_is_bounded_by_it_as_often_as_promised():
    """Canaries through exact randomized response: the strongest (epsilon, 0)-DP leak there is."""
    epsilon, rng = 1.5, stream(1, "one-run")
    bounds = []
    for _ in range(150):
        included = rng.random(200) < 0.5
        truthful = rng.random(200) < special.expit(epsilon)
        leak = np.where(truthful, included, ~included).astype(float)
        bounds.append(one_run_audit(leak, included, 1e-9, rng).lower_bound)
    failures = int((np.array(bounds) > epsilon).sum())
    assert stats.binomtest(failures, 150, 0.05, alternative="greater").pvalue > 1e-6
    assert np.mean(bounds) > 0.6


def test_scores_that_know_nothing_show_nothing_whatever_the_order_of_the_canaries():
    included = np.arange(400) < 200
    audit = one_run_audit(np.zeros(400), included, 1e-5, stream(2, "ties"), 1 - 1e-8)
    assert audit.lower_bound == 0


def test_a_student_that_gives_everything_away_is_caught():
    included = stream(3, "coins").random(400) < 0.5
    audit = one_run_audit(included.astype(float), included, 1e-5, stream(4, "ties"))
    assert audit.correct / audit.guesses > 0.97
    assert audit.lower_bound > 3.5
    assert (audit.canaries, audit.delta, audit.confidence) == (400, 1e-5, 0.95)


@given(members=scores, others=scores)
def test_auc_counts_ties_half_and_lies_in_its_interval(members, others):
    found = membership_auc(members, others)
    truth = np.r_[np.ones(len(members)), np.zeros(len(others))]
    assert found.auc == pytest.approx(roc_auc_score(truth, np.r_[members, others]), abs=1e-12)
    assert 0 <= found.low <= found.auc <= found.high <= 1
    assert found.low < found.high
    mirrored = membership_auc(others, members)
    assert mirrored.low == pytest.approx(1 - found.high, abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.5])
def test_the_interval_covers_the_truth_as_often_as_it_says(shift):
    truth, rng = special.ndtr(shift / np.sqrt(2)), stream(5, "auc", str(shift))
    found = [membership_auc(rng.normal(shift, 1, 40), rng.normal(0, 1, 60)) for _ in range(400)]
    covered = sum(f.low <= truth <= f.high for f in found)
    assert stats.binomtest(covered, 400, 0.95, alternative="less").pvalue > 1e-6
    assert np.mean([f.high - f.low for f in found]) < 0.25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: one_run_epsilon(10, 5, 6, 1e-5, 0.95), "0 <= correct <= guesses <= canaries"),
        (lambda: one_run_epsilon(10, 5, 5, 0.0, 0.95), r"privacy\.delta must be in \(0, 1\)"),
        (
            lambda: one_run_audit(np.zeros(5), np.zeros(5, bool), 1e-5, stream(0, "x")),
            "canaries must be >= 8 scores",
        ),
        (
            lambda: one_run_audit(np.full(9, np.nan), np.zeros(9, bool), 1e-5, stream(0, "x")),
            "canaries must have finite scores",
        ),
        (lambda: membership_auc(np.zeros(0), np.zeros(3)), "finite scores of both kinds"),
        (lambda: membership_auc(np.array([np.inf]), np.zeros(3)), "finite scores of both kinds"),
        (lambda: membership_auc(np.zeros(2), np.zeros(3), 0.0), "confidence must be in"),
    ],
)
def test_bad_input_is_refused_in_words(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
