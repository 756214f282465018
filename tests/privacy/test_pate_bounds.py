import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.errors import DataError
from fedpate.privacy.exact import exact_rdp
from fedpate.privacy.exact_laws import GaussianLaw, LaplaceLaw
from fedpate.privacy.histograms import merged, validated
from fedpate.privacy.pate_bounds import (
    confident_rdp,
    gnmax_log_q,
    gnmax_rdp,
    gnmax_rdp_independent,
    interactive_statistic,
    lnmax_log_q,
    lnmax_moments,
    lnmax_rdp,
    threshold_log_pr,
    threshold_rdp,
)
from fedpate.privacy.rdp import epsilon_classic
from golden_values import expected, golden

BOUNDS = "pate_bounds.json"
ANSWERED = np.array([True])


def one(counts):
    return np.array([counts], dtype=np.int64)


def histograms(max_classes=6, max_teachers=40, min_classes=2):
    """One histogram: teachers thrown into classes."""
    return st.integers(min_classes, max_classes).flatmap(
        lambda m: st.lists(st.integers(0, m - 1), min_size=1, max_size=max_teachers).map(
            lambda votes: one(np.bincount(votes, minlength=m))
        )
    )


scales = st.floats(0.5, 50)
orders = st.lists(st.floats(1.05, 100), min_size=1, max_size=5).map(np.array)


# --- golden values ----------------------------------------------------------------------------


@pytest.mark.parametrize("entry", golden(BOUNDS, "lnmax_q"))
def test_lnmax_q_golden(entry):
    given_ = entry["inputs"]
    assert math.exp(lnmax_log_q(one(given_["counts"]), given_["laplace_scale"])[0]) == expected(
        entry
    )


@pytest.mark.parametrize("entry", golden(BOUNDS, "lnmax_logq"))
def test_lnmax_log_q_golden(entry):
    given_ = entry["inputs"]
    assert lnmax_log_q(one(given_["counts"]), given_["laplace_scale"])[0] == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "lnmax_moment"))
def test_lnmax_moment_golden(entry):
    given_ = entry["inputs"]
    log_q = lnmax_log_q(one(given_["counts"]), 1 / given_["gamma"])
    assert lnmax_moments(log_q, 2 * given_["gamma"], given_["l"])[0, 0] == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "lnmax_moment_invalid_domain"))
def test_theorem_3_is_not_used_between_its_condition_and_q_below_a_half(entry):
    """Elsewhere q < 1/2 is asked for, where q < 1/(e^epsilon + 1) is needed."""
    given_ = entry["inputs"]
    assert given_["q"] < 0.5
    moment = lnmax_moments(np.log([given_["q"]]), given_["pure_eps"], given_["l"])
    assert moment[0, 0] == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "lnmax_moment_data_independent"))
def test_lnmax_moment_without_consensus_golden(entry):
    given_ = entry["inputs"]
    moment = lnmax_moments(np.zeros(1), 2 * given_["gamma"], given_["l"])
    assert given_["queries"] * moment[0, 0] == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "lnmax_eps"))
def test_lnmax_epsilon_golden(entry):
    given_ = entry["inputs"]
    alpha = np.array(given_["moments"]) + 1
    rdp = given_["queries"] * lnmax_rdp(one(given_["counts"]), 1 / given_["gamma"], alpha)[0]
    assert epsilon_classic(alpha, rdp, given_["delta"])[0] == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "gnmax_logq"))
def test_gnmax_log_q_golden(entry):
    given_ = entry["inputs"]
    assert gnmax_log_q(one(given_["counts"]), given_["sigma"])[0] == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "gnmax_rdp"))
def test_theorem_6_golden(entry):
    given_ = entry["inputs"]
    log_q = gnmax_log_q(one(given_["counts"]), given_["sigma"])
    assert gnmax_rdp(log_q, given_["sigma"], given_["order"])[0, 0] == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "gnmax_rdp_ind"))
def test_proposition_8_golden(entry):
    given_ = entry["inputs"]
    assert gnmax_rdp_independent(given_["sigma"], given_["order"])[0] == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "threshold_logpr"))
def test_threshold_probability_golden(entry):
    given_ = entry["inputs"]
    assert threshold_log_pr(max(given_["counts"]), given_["T"], given_["sigma1"]) == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "threshold_rdp"))
def test_threshold_rdp_golden(entry):
    given_ = entry["inputs"]
    rdp = threshold_rdp(max(given_["counts"]), given_["T"], given_["sigma1"], given_["order"])
    assert rdp[0, 0] == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "threshold_rdp_ind"))
def test_threshold_without_margin_golden(entry):
    given_ = entry["inputs"]
    rdp = threshold_rdp(0.0, 0.0, given_["sigma1"], given_["order"])  # a fair coin
    assert rdp[0, 0] == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "confident_expected_rdp"))
def test_confident_expected_golden(entry):
    assert confident(entry["inputs"], None) == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "confident_realised_rdp_answered"))
def test_confident_realised_golden(entry):
    assert confident(entry["inputs"], ANSWERED) == expected(entry)


def confident(given_, answered, statistic=None):
    counts = one(given_["counts"])
    statistic = counts.max(axis=1) if statistic is None else statistic
    noise = given_["T"], given_["sigma1"], given_["sigma2"]
    return confident_rdp(counts, statistic, *noise, given_["order"], answered)[0, 0]


def rounded_statistic(given_):
    """The reference rounds the statistic to whole votes; the paper and fedpate do not."""
    return np.rint(
        interactive_statistic(one(given_["counts"]), np.array([given_["student_probs"]]))
    )


@pytest.mark.parametrize("entry", golden(BOUNDS, "interactive_logpr"))
def test_interactive_probability_golden(entry):
    given_ = entry["inputs"]
    log_pr = threshold_log_pr(rounded_statistic(given_), given_["T"], given_["sigma1"])
    assert log_pr[0] == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "interactive_rdp_step1"))
def test_interactive_test_golden(entry):
    given_ = entry["inputs"]
    rdp = threshold_rdp(rounded_statistic(given_), given_["T"], given_["sigma1"], given_["order"])
    assert rdp[0, 0] == expected(entry)


@pytest.mark.parametrize("entry", golden(BOUNDS, "interactive_rdp_total_if_answered"))
def test_interactive_total_golden(entry):
    given_ = entry["inputs"]
    assert confident(given_, ANSWERED, rounded_statistic(given_)) == expected(entry)


# --- defects known elsewhere ------------------------------------------------------------------


def test_integer_orders_do_not_overflow():
    counts, whole = one([214, 8, 7, 6, 4, 4, 4, 2, 1, 0]), np.arange(2, 4000, 7, dtype=np.int32)
    for rdp in (
        gnmax_rdp(gnmax_log_q(counts, 40), 40, whole),
        lnmax_rdp(counts, 20, whole),
        threshold_rdp(214, 100, 5, whole),
    ):
        assert (rdp >= 0).all()
        assert np.isfinite(rdp).all()
    as_floats = gnmax_rdp(gnmax_log_q(counts, 40), 40, whole.astype(float))
    assert np.array_equal(gnmax_rdp(gnmax_log_q(counts, 40), 40, whole), as_floats)


def test_classes_without_a_vote_count():
    """Elsewhere the number of classes is taken from the votes seen."""
    assert lnmax_log_q(one([9, 1, 0, 0]), 2)[0] > lnmax_log_q(one([9, 1]), 2)[0]
    assert gnmax_log_q(one([9, 1, 0, 0]), 2)[0] > gnmax_log_q(one([9, 1]), 2)[0]


def test_more_than_eight_moments_pay():
    counts = np.tile(one([250, 0]), (10, 1))
    few, many = np.arange(2.0, 10), np.arange(2.0, 66)
    eight = epsilon_classic(few, lnmax_rdp(counts, 20, few).sum(axis=0), 1e-5)[0]
    more = epsilon_classic(many, lnmax_rdp(counts, 20, many).sum(axis=0), 1e-5)[0]
    assert more < eight / 5


def test_theorem_6_bounds_one_direction_only():
    """Ten agreeing teachers, sigma 2: the neighbour's law is three times further than the bound."""
    counts, law = one([10, 0]), GaussianLaw(2.0)
    bound = gnmax_rdp(gnmax_log_q(counts, 2.0), 2.0, [2.0])[0, 0]
    assert exact_rdp(counts, law, [2.0], both_directions=False)[0, 0] < bound
    assert exact_rdp(counts, law, [2.0])[0, 0] > 3 * bound


# --- properties -------------------------------------------------------------------------------


@given(histograms(), scales, orders)
def test_exact_divergence_is_below_theorem_6_and_proposition_8(counts, sigma, orders):
    bound = gnmax_rdp(gnmax_log_q(counts, sigma), sigma, orders)[0]
    forward = exact_rdp(counts, GaussianLaw(sigma), orders, both_directions=False)[0]
    both = exact_rdp(counts, GaussianLaw(sigma), orders)[0]
    assert (forward <= bound * (1 + 1e-9) + 1e-12).all()
    assert (forward <= both * (1 + 1e-9) + 1e-12).all()
    assert (both <= gnmax_rdp_independent(sigma, orders) * (1 + 1e-9) + 1e-12).all()


@given(histograms(), scales, orders)
def test_exact_divergence_is_below_the_2017_moments(counts, scale, orders):
    bound = lnmax_rdp(counts, scale, orders)[0]
    forward = exact_rdp(counts, LaplaceLaw(scale), orders, both_directions=False)[0]
    assert (forward <= bound * (1 + 1e-9) + 1e-12).all()


@given(histograms(), scales, orders, st.randoms(use_true_random=False))
def test_the_order_of_classes_does_not_matter(counts, sigma, orders, random):
    shuffled = counts.copy()
    random.shuffle(shuffled[0])
    for log_q in (gnmax_log_q, lnmax_log_q):
        assert log_q(shuffled, sigma) == pytest.approx(log_q(counts, sigma), rel=1e-12)
    bounds = [confident_rdp(c, c.max(axis=1), 9, 4, sigma, orders) for c in (counts, shuffled)]
    assert bounds[0] == pytest.approx(bounds[1], rel=1e-9)


@given(st.integers(2, 200), st.integers(2, 10), scales, st.floats(1.05, 64))
def test_more_agreement_never_costs_more(n_teachers, n_classes, sigma, order):
    majority = (n_teachers + 1) // 2
    tops = np.arange(majority, n_teachers + 1)
    counts = np.zeros((len(tops), n_classes), dtype=np.int64)
    counts[:, 0], counts[:, 1] = tops, n_teachers - tops
    for rdp in (
        gnmax_rdp(gnmax_log_q(counts, sigma), sigma, order),
        lnmax_rdp(counts, sigma, order),
    ):
        assert (np.diff(rdp[:, 0]) <= 1e-15).all()


@given(histograms(), scales)
def test_more_noise_never_makes_the_winner_safer(counts, sigma):
    assert gnmax_log_q(counts, sigma)[0] <= gnmax_log_q(counts, 2 * sigma)[0]
    assert lnmax_log_q(counts, sigma)[0] <= lnmax_log_q(counts, 2 * sigma)[0]


def test_rows_and_orders_are_independent():
    rng = np.random.default_rng(0)
    counts = rng.multinomial(250, rng.dirichlet(np.full(10, 0.2), 300))
    alpha = np.array([40.0, 2.0, 14.0, 1.01, 300.0])  # in no order
    whole = gnmax_rdp(gnmax_log_q(counts, 30), 30, alpha)
    for row in (0, 17, 299):
        log_q = gnmax_log_q(counts[row : row + 1], 30)
        alone = [gnmax_rdp(log_q, 30, order)[0, 0] for order in alpha]
        assert whole[row] == pytest.approx(alone, rel=1e-12)


# --- corners ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1.0001, 2, 2.5, 4000])
@pytest.mark.parametrize(
    "counts",
    [[7], [1, 0], [1] + [0] * 999, [250] + [0] * 999, [5, 5], [1] * 1000],
    ids=["one class", "one teacher", "1000 classes", "unanimous", "tie", "all equal"],
)
@pytest.mark.parametrize("sigma", [1e-3, 0.5, 40.0, 1e6])
def test_corners_are_finite_and_never_above_what_no_votes_would_cost(counts, sigma, order):
    gaussian = gnmax_rdp(gnmax_log_q(one(counts), sigma), sigma, order)[0, 0]
    laplace = lnmax_rdp(one(counts), sigma, order)[0, 0]
    assert 0 <= gaussian <= gnmax_rdp_independent(sigma, order)[0]
    assert 0 <= laplace <= 2 / sigma
    if len(counts) == 1:
        assert gaussian == laplace == 0


def test_q_far_below_the_smallest_float():
    counts = one([10_000, 0, 0])
    assert gnmax_log_q(counts, 1.0)[0] == pytest.approx(-25_000_010.0, rel=1e-6)
    assert gnmax_rdp(gnmax_log_q(counts, 1.0), 1.0, [2.0])[0, 0] == 0
    assert lnmax_rdp(counts, 1.0, [2.0])[0, 0] == 0
    assert threshold_rdp(10_000, 0, 1.0, [2.0])[0, 0] == 0


@pytest.mark.parametrize("bad", [[1.0], [0.5, 2.0], [math.nan], [math.inf], [[2.0]]])
def test_orders_at_most_one_are_refused(bad):
    with pytest.raises(ValueError, match="orders must be"):
        gnmax_rdp(np.array([-1.0]), 2.0, bad)


# --- vote matrices ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([[3.0, math.nan]], r"votes must be finite \(no NaN\); 1 of 2 cells are not"),
        ([[3, -1]], "votes must be >= 0; 1 of 2 cells are not"),
        ([[2.5, 1.5]], "votes must be whole numbers; 2 of 2 cells are not"),
        ([[3, 1], [2, 1]], "each row of votes must sum to the same .* between 3 and 4"),
        ([[0, 0]], "at least one teacher, got 0"),
        ([[1e300, 0]], "votes must be at most"),
        ([3, 1], r"votes must be \(queries, classes\) with one of each, got \(2,\)"),
        (np.zeros((0, 3)), r"got \(0, 3\)"),
        ([["a", "b"]], "votes must be numbers"),
    ],
)
def test_a_bad_vote_matrix_is_one_clear_line(counts, message):
    with pytest.raises(DataError, match=message):
        validated(counts)


@given(st.integers(0, 2**32), st.integers(1, 12), st.booleans())
def test_merging_loses_nothing(seed, n_classes, permuted):
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(4, np.full(n_classes, 1 / n_classes), 60)
    different = merged(counts, permuted=permuted)
    key = np.sort(counts, axis=1) if permuted else counts
    again = different.rows[different.index]
    assert np.array_equal(np.sort(again, axis=1) if permuted else again, key)
    assert len(np.unique(different.rows, axis=0)) == len(different.rows)
    assert different.multiplicity.sum() == len(counts)


# --- the published votes ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def mnist(pate_votes):
    return validated(np.load(pate_votes))


@pytest.mark.data
@pytest.mark.parametrize("entry", golden("published.json", "published"))
def test_published_mnist(entry, mnist):
    given_ = entry["inputs"]
    counts = mnist[: given_["queries"]]
    top = counts.max(axis=1)
    if entry["name"].endswith("expected_answered"):
        value = np.exp(threshold_log_pr(top, given_["T"], given_["sigma1"])).sum()
    else:
        noise = given_["T"], given_["sigma1"], given_["sigma2"]
        value = confident_rdp(counts, top, *noise, given_["order"]).sum()
    assert value == expected(entry)
