import itertools
import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mechanism_laws as oracle
from fedpate.errors import ConfigError
from fedpate.privacy.exact import ThresholdTest, exact_rdp
from fedpate.privacy.exact_laws import (
    DiscreteLaw,
    GaussianLaw,
    GumbelLaw,
    LaplaceLaw,
    PermuteAndFlipLaw,
    log_law,
)
from golden_values import expected, golden

LAWS = [GaussianLaw, LaplaceLaw, GumbelLaw, PermuteAndFlipLaw]
ORDERS = [1.01, 2.0, 7.5, 64.0]


def one(counts):
    return np.array([counts], dtype=np.int64)


def probabilities(law, counts):
    return np.exp(log_law(law, one(counts))[0])


def histograms(max_classes=5, max_teachers=30):
    return st.integers(1, max_classes).flatmap(
        lambda m: st.lists(st.integers(0, m - 1), min_size=1, max_size=max_teachers).map(
            lambda votes: np.bincount(votes, minlength=m)
        )
    )


scales = st.floats(0.5, 60)


def divergence(log_p, log_q, order):
    """The definition, free of float64's range."""
    pairs = [(mpmath.mpf(a), mpmath.mpf(b)) for a, b in zip(log_p, log_q, strict=True)]
    terms = (mpmath.exp(order * a + (1 - order) * b) for a, b in pairs)
    return mpmath.log(mpmath.fsum(terms)) / (order - 1)


def neighbours(counts):
    """Every histogram with one vote moved, and the move."""
    for source, target in itertools.permutations(range(len(counts)), 2):
        if counts[source] > 0:
            moved = np.array(counts)
            moved[source] -= 1
            moved[target] += 1
            yield moved


# --- laws -------------------------------------------------------------------------------------

GOLDEN_LAWS = {
    "exact_gnmax_law": (GaussianLaw, "sigma"),
    "exact_lnmax_law": (LaplaceLaw, "laplace_scale"),
    "exponential_mechanism_law": (GumbelLaw, "gumbel_scale"),
    "permute_and_flip_law": (PermuteAndFlipLaw, "exponential_scale"),
}


@pytest.mark.parametrize(
    "entry", [entry for kind in GOLDEN_LAWS for entry in golden("exact.json", kind)]
)
def test_law_golden(entry):
    law, scale = GOLDEN_LAWS[entry["name"].split("/")[0]]
    found = probabilities(law(entry["inputs"][scale]), entry["inputs"]["counts"])
    assert found == expected(entry)


@pytest.mark.parametrize("counts", [[4], [3, 3], [9, 1, 0], [5, 4, 4, 0, 0, 0]])
@pytest.mark.parametrize("scale", [0.7, 5.0, 40.0])
def test_laws_agree_with_independent_quadrature(counts, scale):
    for law, reference in (
        (GaussianLaw, oracle.gaussian_max),
        (LaplaceLaw, oracle.laplace_max),
        (GumbelLaw, oracle.gumbel_max),
        (PermuteAndFlipLaw, oracle.permute_and_flip),
    ):
        found = probabilities(law(scale), counts)
        assert found == pytest.approx(reference(counts, scale)[1:], rel=1e-8, abs=1e-11)


@pytest.mark.parametrize("law", LAWS)
@given(counts=histograms(), scale=scales)
def test_laws_sum_to_one_and_follow_the_votes(law, counts, scale):
    found = probabilities(law(scale), counts)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    by_votes = found[np.argsort(counts, kind="stable")]
    assert (np.diff(by_votes) >= -1e-12).all()  # more votes win more often
    for votes in set(counts.tolist()):
        assert np.ptp(found[counts == votes]) == 0  # equal votes win equally often


@pytest.mark.parametrize("law", LAWS)
def test_laws_of_a_thousand_classes_sum_to_one(law):
    rng = np.random.default_rng(0)
    for counts in ([1] * 1000, [250] + [0] * 999, rng.multinomial(1000, np.full(1000, 1e-3))):
        for scale in (0.5, 20.0):
            assert probabilities(law(scale), counts).sum() == pytest.approx(1, abs=1e-11)


@pytest.mark.parametrize(
    ("law", "tail"),
    [
        (GaussianLaw(0.5), lambda g: mpmath.log(mpmath.erfc(g / (2 * 0.5)) / 2)),
        (LaplaceLaw(0.5), lambda g: mpmath.log((2 + g / 0.5) / 4) - g / 0.5),
        (GumbelLaw(0.5), lambda g: -mpmath.log1p(mpmath.exp(g / 0.5))),
        (PermuteAndFlipLaw(0.5), lambda g: mpmath.log(0.5) - g / 0.5),
    ],
)
@pytest.mark.parametrize("gap", [0, 3, 40, 5000])
def test_probabilities_far_below_the_smallest_float(law, tail, gap):
    """Two classes have closed forms; the loser's log probability reaches -25 million."""
    loser = log_law(law, one([gap, 0]))[0, 1]
    assert loser == pytest.approx(float(tail(mpmath.mpf(gap))), rel=1e-11)


def discrete_oracle(counts, lowest, pmf):
    """Enumerate every outcome of the noise; ties share their probability."""
    law = np.zeros(len(counts))
    values = range(lowest, lowest + len(pmf))
    for noise in itertools.product(values, repeat=len(counts)):
        noisy = np.array(counts) + noise
        top = noisy == noisy.max()
        law += top / top.sum() * math.prod(pmf[n - lowest] for n in noise)
    return law


@given(
    st.lists(st.integers(0, 6), min_size=1, max_size=4),
    st.integers(-3, 3),
    st.lists(st.floats(0.01, 1), min_size=1, max_size=6),
)
def test_discrete_law_is_the_enumeration_with_uniform_tie_breaking(counts, lowest, weights):
    pmf = np.array(weights) / np.sum(weights)
    found = probabilities(DiscreteLaw(lowest, pmf), counts)
    assert found == pytest.approx(discrete_oracle(counts, lowest, pmf), abs=1e-13)


def test_discrete_law_without_noise_is_the_plain_arg_max():
    assert probabilities(DiscreteLaw(0, np.ones(1)), [3, 3, 1]) == pytest.approx([0.5, 0.5, 0])


def test_discrete_law_of_rounded_gaussian_noise_is_near_the_continuous_one():
    edges = np.arange(-60, 61) - 0.5
    cdf = np.array([math.erf(e / (5 * math.sqrt(2))) for e in edges])
    discrete = DiscreteLaw(-60, np.diff(cdf) / 2 / ((cdf[-1] - cdf[0]) / 2))
    assert probabilities(discrete, [30, 25, 2]) == pytest.approx(
        probabilities(GaussianLaw(5.0), [30, 25, 2]), abs=2e-3
    )


@pytest.mark.parametrize("pmf", [[0.5, 0.4], [1.5, -0.5]])
def test_probabilities_that_are_none_are_refused(pmf):
    with pytest.raises(ValueError, match="probabilities must"):
        DiscreteLaw(0, np.array(pmf))


@pytest.mark.parametrize("law", LAWS)
def test_a_scale_that_is_none_is_refused(law):
    for scale in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigError, match="noise_scale"):
            law(scale)


def test_noise_too_small_for_the_quadrature_is_refused_in_words():
    with pytest.raises(ConfigError, match=r"mechanism.noise_scale must be >= .* for the exact law"):
        log_law(GaussianLaw(1e-9), one([250, 0]))


# --- divergences ------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", golden("exact.json", "exact_data_dependent_rdp_gnmax"))
def test_gnmax_divergence_golden(entry):
    given_ = entry["inputs"]
    law = GaussianLaw(given_["sigma"])
    found = exact_rdp(one(given_["counts"]), law, given_["order"], both_directions=False)
    assert found[0, 0] == expected(entry)


@pytest.mark.parametrize("entry", golden("exact.json", "exact_data_dependent_rdp_em"))
def test_exponential_mechanism_divergence_golden(entry):
    given_ = entry["inputs"]
    law = GumbelLaw(given_["gumbel_scale"])
    found = exact_rdp(one(given_["counts"]), law, given_["order"], both_directions=False)
    assert found[0, 0] == expected(entry)


def two_sided_geometric(scale):
    weights = np.exp(-np.abs(np.arange(-40, 41)) / scale)
    return DiscreteLaw(-40, weights / weights.sum())


@pytest.mark.parametrize("law", [*LAWS, two_sided_geometric])
@pytest.mark.parametrize("counts", [[3, 1], [2, 2, 0], [9, 1, 0, 0], [1, 0, 0]])
def test_divergence_is_the_maximum_over_all_neighbours_and_directions(law, counts):
    law = law(3.0)
    laws = [log_law(law, one(c))[0].tolist() for c in (counts, *neighbours(counts))]
    found = exact_rdp(one(counts), law, ORDERS)[0]
    forward = exact_rdp(one(counts), law, ORDERS, both_directions=False)[0]
    for order, value, one_way in zip(ORDERS, found, forward, strict=True):
        there = [divergence(laws[0], q, order) for q in laws[1:]]
        back = [divergence(q, laws[0], order) for q in laws[1:]]
        assert one_way == pytest.approx(float(max(there)), rel=1e-9)
        assert value == pytest.approx(float(max(there + back)), rel=1e-9)


def joint(counts, scores, law, test):
    yes, no = test.logs(np.array([max(scores)]))
    return [float(no[0]), *(yes[0] + log_law(law, one(counts))[0]).tolist()]


@pytest.mark.parametrize("counts", [[9, 1, 0], [4, 4, 2], [10, 0]])
@pytest.mark.parametrize("student", [None, [0.2, 0.5, 0.3]])
def test_joint_divergence_with_a_threshold_test(counts, student):
    """{no answer, labels} together, for Confident and, with a student, for Interactive."""
    law, test = GaussianLaw(2.0), ThresholdTest(7.0, 3.0)
    expected_votes = np.zeros(len(counts))
    if student is not None:
        expected_votes = 10 * np.array(student[: len(counts)])
    pair = [joint(c, c - expected_votes, law, test) for c in (counts, *neighbours(counts))]
    scores = None if student is None else (np.array(counts) - expected_votes)[None]
    found = exact_rdp(one(counts), law, ORDERS, test=test, scores=scores)[0]
    for order, value in zip(ORDERS, found, strict=True):
        both = [max(divergence(pair[0], q, order), divergence(q, pair[0], order)) for q in pair[1:]]
        assert value == pytest.approx(float(max(both)), rel=1e-9)


@given(st.integers(0, 30), st.integers(0, 30), scales, st.integers(1, 8))
def test_several_votes_of_two_classes(a, b, scale, moved):
    counts = [a + 1, b]
    law = GaussianLaw(scale)
    base = log_law(law, one(counts))[0].tolist()
    worst = np.zeros(len(ORDERS))
    for shift in range(-moved, moved + 1):
        other = [counts[0] + shift, counts[1] - shift]
        if min(other) >= 0:
            q = log_law(law, one(other))[0].tolist()
            pairs = [(base, q), (q, base)]
            found = [[float(divergence(*pair, o)) for o in ORDERS] for pair in pairs]
            worst = np.maximum(worst, np.max(found, axis=0))
    found = exact_rdp(one(counts), law, ORDERS, votes_moved=moved)[0]
    assert found == pytest.approx(worst, rel=1e-9, abs=1e-12)


def test_several_votes_of_more_classes_are_refused():
    with pytest.raises(ValueError, match="votes_moved=2 > 1 needs two classes, got 3"):
        exact_rdp(one([3, 2, 1]), GaussianLaw(1.0), [2.0], votes_moved=2)


@given(st.integers(0, 2**32), st.sampled_from(LAWS), scales)
def test_equal_histograms_and_permuted_classes_cost_the_same(seed, law, scale):
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(12, rng.dirichlet(np.ones(4)), 3)
    shuffled = rng.permuted(counts, axis=1)
    both = exact_rdp(np.vstack([counts, shuffled]), law(scale), ORDERS)
    assert np.array_equal(both[:3], both[3:])


@given(histograms(), st.sampled_from(LAWS), scales)
def test_divergence_grows_with_the_order_and_stays_below_pure_dp(counts, law, scale):
    orders = np.geomspace(1.01, 200, 12)
    found = exact_rdp(one(counts), law(scale), orders)[0]
    assert (found >= 0).all()
    assert (np.diff(found) >= -1e-12).all()
    if law is not GaussianLaw:
        assert found[-1] <= 2 / scale + 1e-9
    if len(counts) == 1:
        assert not found.any()  # one class: the answer is a constant


def test_many_orders_give_what_each_gives_alone():
    """The pairs that are never the largest are left out; none of the others may be."""
    rng = np.random.default_rng(1)
    counts = rng.multinomial(60, rng.dirichlet(np.full(6, 0.5), 8))
    orders = np.concatenate([1 + np.geomspace(0.01, 400, 60), [3.0, 1.5]])
    together = exact_rdp(counts, GaussianLaw(7.0), orders, test=ThresholdTest(30.0, 9.0))
    for place in (0, 7, 31, 59, 60, 61):
        alone = exact_rdp(counts, GaussianLaw(7.0), orders[place], test=ThresholdTest(30.0, 9.0))
        assert together[:, place] == pytest.approx(alone[:, 0], rel=1e-9)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    "counts",
    [[1, 0], [1] + [0] * 999, [250] + [0] * 999, [125, 125], [1] * 1000, [250, 0]],
    ids=["one teacher", "one of 1000", "unanimous of 1000", "tie", "all equal", "unanimous"],
)
@pytest.mark.parametrize("scale", [0.1, 40.0])
def test_corners_are_finite(law, counts, scale):
    found = exact_rdp(one(counts), law(scale), [1.001, 2, 500])[0]
    assert np.isfinite(found).all()
    assert (found >= 0).all()
    assert found[1] <= 2 * (1 / scale**2 if law is GaussianLaw else 1 / scale) * (1 + 1e-9)


def test_noise_that_cannot_bridge_a_gap_costs_everything():
    """Bounded noise: an outcome that a neighbour cannot give has an infinite price."""
    coin = DiscreteLaw(0, np.array([0.5, 0.5]))
    assert exact_rdp(one([2, 0]), coin, [2.0])[0, 0] == math.inf
    assert exact_rdp(one([9, 0]), coin, [2.0])[0, 0] == 0


@pytest.mark.data
def test_published_mnist(pate_votes):
    """The joint law of 640 published queries at delta 1e-5: 0.923, where Theorem 6 gives 1.712."""
    from fedpate.privacy.rdp import epsilon_improved

    counts = np.load(pate_votes)[:640].astype(np.int64)
    orders = np.arange(14, 22, 0.5)
    rdp = exact_rdp(counts, GaussianLaw(40.0), orders, test=ThresholdTest(200.0, 150.0))
    assert epsilon_improved(orders, rdp.sum(axis=0), 1e-5)[0] == pytest.approx(0.923, abs=5e-4)
