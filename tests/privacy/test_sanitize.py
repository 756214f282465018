import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.errors import ConfigError
from fedpate.privacy import histogram_space as space_module
from fedpate.privacy.exact import ThresholdTest, exact_rdp
from fedpate.privacy.exact_laws import GaussianLaw
from fedpate.privacy.gnmax_curve import GnmaxCurve
from fedpate.privacy.gnss import best_settings, gnss_rdp, theorem_23
from fedpate.privacy.histogram_space import histogram_space
from fedpate.privacy.mechanisms import ConfidentMax, GaussianMax, LaplaceMax
from fedpate.privacy.noise import OsEntropy, SeededEntropy
from fedpate.privacy.pate_bounds import gnmax_log_q, gnmax_rdp
from fedpate.privacy.rdp import epsilon_classic
from fedpate.privacy.sanitize import distribution, published, reference_votes, release
from fedpate.privacy.sensitive import ExactDivergence, NotSanitizableError, PublishedBound
from fedpate.privacy.smooth_sensitivity import (
    gnmax_local_sensitivities,
    smooth_sensitivity,
    threshold_local_sensitivities,
    threshold_sensitivities_at,
)
from golden_values import expected, golden

SANITIZE = "sanitize.json"
PUBLISHED_ORDERS = np.arange(2, 30.5, 0.5)


def one(counts):
    return np.array([counts], dtype=np.int64)


def gnmax_sensitivities(given_):
    curve = GnmaxCurve(given_["sigma"], given_["order"], len(given_["counts"]))
    return gnmax_local_sensitivities(one(given_["counts"]), curve)[0]


# --- golden values ----------------------------------------------------------------------------


@pytest.mark.parametrize("entry", golden(SANITIZE, "ss_logq0"))
def test_q0_golden(entry):
    given_ = entry["inputs"]
    assert GnmaxCurve(given_["sigma"], given_["order"], 10).log_q0 == expected(entry)


@pytest.mark.parametrize("entry", golden(SANITIZE, "ss_logq1"))
def test_q1_golden(entry):
    given_ = entry["inputs"]
    curve = GnmaxCurve(given_["sigma"], given_["order"], given_["classes"])
    assert curve.log_q1 == expected(entry)


@pytest.mark.parametrize("entry", [*golden(SANITIZE, "ss_BU"), *golden(SANITIZE, "ss_BL")])
def test_how_far_a_vote_moves_q_golden(entry):
    given_ = entry["inputs"]
    curve = GnmaxCurve(given_["sigma"], 2.0, given_["classes"])
    moved = curve.upper if entry["name"].startswith("ss_BU") else curve.lower
    assert math.exp(moved(np.log([given_["q"]]))[0]) == expected(entry)


@pytest.mark.parametrize("entry", golden(SANITIZE, "ss_gnmax_local_sensitivity"))
def test_gnmax_local_sensitivity_golden(entry):
    found = gnmax_sensitivities(entry["inputs"])[entry["inputs"]["distances"]]
    assert found == expected(entry)


@pytest.mark.parametrize("entry", golden(SANITIZE, "ss_gnmax_smooth"))
def test_gnmax_smooth_sensitivity_golden(entry):
    local = gnmax_sensitivities(entry["inputs"])
    assert smooth_sensitivity(local, entry["inputs"]["beta"]) == expected(entry)


@pytest.mark.parametrize("entry", golden(SANITIZE, "ss_threshold_local_sensitivity"))
def test_threshold_local_sensitivity_golden(entry):
    """At distance exactly d, as the reference has it, of the largest count as it rounds it."""
    given_ = entry["inputs"]
    largest = np.array([round(max(given_["counts"]))])
    setting = given_["teachers"], given_["T"], given_["sigma1"], given_["order"]
    found = threshold_sensitivities_at(largest, *setting)[0]
    assert found[given_["distances"]] == expected(entry)


@pytest.mark.parametrize("entry", golden(SANITIZE, "gnss_rdp"))
def test_theorem_23_golden(entry):
    given_ = entry["inputs"]
    found = theorem_23(given_["beta"], given_["sigma_ss"], given_["order"])
    assert found == expected(entry)


@pytest.mark.parametrize("entry", golden(SANITIZE, "gnss_release"))
def test_gnss_release_golden(entry):
    given_ = entry["inputs"]
    noise = given_["standard_normal_draw"] * given_["sigma_ss"] * given_["smooth_sensitivity"]
    cost = theorem_23(given_["beta"], given_["sigma_ss"], given_["order"])
    total = given_["rdp_at_order"] + noise + cost
    assert epsilon_classic([given_["order"]], [total], given_["delta"])[0] == expected(entry)


# --- defects known elsewhere ------------------------------------------------------------------


def test_threshold_sensitivity_is_the_largest_within_the_distance():
    """At distance exactly d it falls again, so a sum over queries of those values is too small."""
    setting = np.array([20, 16]), 30, 16, 2, 10
    exactly, within = threshold_sensitivities_at(*setting), threshold_local_sensitivities(*setting)
    assert (np.diff(exactly, axis=1) < 0).any()
    assert (np.diff(within, axis=1) >= 0).all()
    assert (within >= exactly).all()
    apart, together = (smooth_sensitivity(x.sum(axis=0), 0.01) for x in (exactly, within))
    assert apart < 0.9 * together


def test_published_walks_are_refused_where_condition_c6_fails():
    """Ten teachers, two classes, sigma 2: the reference's smooth sensitivity is too small."""
    curve, space = GnmaxCurve(2.0, 4.0, 2), histogram_space(10, 2)
    truth = space.local_sensitivities(curve.rdp(gnmax_log_q(space.rows, 2.0)))
    claimed = gnmax_local_sensitivities(space.rows, curve)
    assert (smooth_sensitivity(truth, 0.1) > 1.04 * smooth_sensitivity(claimed, 0.1)).any()
    assert "condition C6 of PATE 2018 fails at sigma=2, order=4" in curve.broken_condition(10)


def test_a_jump_at_q0_is_part_of_the_plateau():
    """Where Theorem 6 is better up to its last valid q, beta jumps: rounding must not hide that."""
    curve, space = GnmaxCurve(1.0, 1.5, 3), histogram_space(10, 3)
    assert curve.broken_condition(10) is None
    truth = space.local_sensitivities(curve.rdp(gnmax_log_q(space.rows, 1.0)))
    assert (truth <= gnmax_local_sensitivities(space.rows, curve) * (1 + 1e-9)).all()


# --- properties -------------------------------------------------------------------------------

small_spaces = st.sampled_from([(10, 2), (25, 2), (60, 2), (250, 2), (8, 3), (30, 3), (12, 10)])


@given(small_spaces, st.floats(0.5, 40), st.floats(1.2, 20))
def test_where_the_conditions_hold_nothing_in_the_space_is_more_sensitive(shape, sigma, order):
    curve = GnmaxCurve(sigma, order, shape[1])
    if curve.broken_condition(shape[0]) is None:
        rows = histogram_space(*shape).rows
        truth = histogram_space(*shape).local_sensitivities(curve.rdp(gnmax_log_q(rows, sigma)))
        claimed = gnmax_local_sensitivities(rows, curve)
        assert (truth <= claimed * (1 + 1e-9) + 1e-15).all()
        assert (np.diff(claimed) >= 0).all()


@given(small_spaces, st.floats(0.5, 40), st.floats(1.2, 20))
def test_a_vote_keeps_q_between_its_bounds(shape, sigma, order):
    space, curve = histogram_space(*shape), GnmaxCurve(sigma, order, shape[1])
    log_q = gnmax_log_q(space.rows, sigma)
    moved = log_q[space.neighbours]
    slack = 1e-9 * np.abs(log_q)[:, None] + 1e-12
    assert (moved <= curve.upper(log_q)[:, None] + slack).all()
    assert (moved >= np.minimum(curve.lower(log_q), log_q)[:, None] - slack).all()


@given(st.integers(0, 2**32), st.floats(5, 60), st.floats(2, 20))
def test_the_released_function_is_theorem_6(seed, sigma, order):
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(250, rng.dirichlet(np.full(10, 0.1), 20))
    log_q, curve = gnmax_log_q(counts, sigma), GnmaxCurve(sigma, order, 10)
    value, bound = curve.rdp(log_q), gnmax_rdp(log_q, sigma, order)[:, 0]
    assert (value >= bound * (1 - 1e-12)).all()  # never less, and equal away from q_0
    away = np.abs(log_q - curve.log_q0) > 0.5
    assert value[away] == pytest.approx(bound[away], rel=1e-9)


def gaussian_divergence(order, shift, ratio):
    """D_order(N(0, 1) || N(shift, ratio)): the textbook closed form."""
    mixed = order * ratio + 1 - order
    if mixed <= 0:
        return math.inf
    spread = (order * math.log(ratio) - math.log(mixed)) / (2 * (order - 1))
    return order * shift**2 / (2 * mixed) + spread


@given(
    st.floats(1.05, 30),
    st.floats(0.01, 0.99),
    st.floats(0.5, 20),
    st.floats(-1, 1),
    st.floats(-1, 1),
)
def test_gnss_is_the_worst_pair_that_neighbours_can_be(order, part, sigma, move, grow):
    """f moves by at most both smooth sensitivities, which differ by at most a factor e^beta."""
    beta = -math.log1p(-part / order) / 2  # `part` of what keeps the cost finite
    cost = gnss_rdp(beta, sigma, order)
    shift = move * min(1.0, math.exp(beta * grow)) / sigma
    assert gaussian_divergence(order, shift, math.exp(2 * beta * grow)) <= cost * (1 + 1e-9)
    worst = gaussian_divergence(order, math.exp(-beta) / sigma, math.exp(-2 * beta))
    assert cost == pytest.approx(worst, rel=1e-6)


def test_theorem_23_understates_the_cost_of_its_noise():
    """At the settings of the paper's MNIST table the worst pair costs three times the claim."""
    beta, sigma_ss, order = 0.46 / 14, 6.233, 14.0
    s = mpmath.mpf(sigma_ss)
    narrow, shift = s * mpmath.exp(-beta), mpmath.exp(-beta)

    def density(x):
        log_p = -(x**2) / (2 * s**2) - mpmath.log(s)
        log_q = -((x - shift) ** 2) / (2 * narrow**2) - mpmath.log(narrow)
        return mpmath.exp(order * log_p + (1 - order) * log_q) / mpmath.sqrt(2 * mpmath.pi)

    moment = mpmath.quad(density, mpmath.linspace(-500, 500, 101))
    measured = float(mpmath.log(moment) / (order - 1))
    assert measured == pytest.approx(gnss_rdp(beta, sigma_ss, order), rel=1e-9)
    assert measured > 3 * theorem_23(beta, sigma_ss, order)


def test_a_path_of_three_histograms_reaches_the_worst_pair():
    """f rises by 1 and then by e^beta: the first two have smooth sensitivities 1 and e^beta."""
    beta = 0.3
    steps = np.array([0.0, 1.0, 1.0 + math.exp(beta)])
    near = np.abs(np.diff(steps))
    local = np.maximum(np.append(near, 0), np.append(0, near))
    within = [[local[0], local.max()], [local.max(), local.max()]]
    smooth = [smooth_sensitivity(np.array(one), beta) for one in within]
    assert smooth == pytest.approx([1.0, math.exp(beta)])


def test_gnss_is_refused_where_it_is_infinite():
    with pytest.raises(ValueError, match=r"order must be in \(1, 1/\(2 beta\)\)"):
        theorem_23(0.1, 1.0, 5.0)
    with pytest.raises(ValueError, match=r"for a finite cost, got order=6, beta=0\.1"):
        gnss_rdp(0.1, 1.0, 6.0)
    assert gnss_rdp(0.0, math.inf, 5.0) == 0


def test_the_noise_scale_is_the_best_one_for_its_beta():
    local = np.array([0.01, 0.02, 0.05, 0.05])
    least, settings = best_settings(local, 8.0)
    smooth = smooth_sensitivity(local, settings.beta)
    for factor in (0.9, 1.0, 1.1):
        sigma = factor * settings.sigma_ss
        assert gnss_rdp(settings.beta, sigma, 8.0) + 2 * smooth * sigma >= least * (1 - 1e-12)
    assert best_settings(np.zeros(4), 8.0)[0] == 0


# --- small spaces -----------------------------------------------------------------------------


def partitions(total, parts, largest):
    """How many falling lists there are, by recursion: the oracle."""
    if total == 0:
        return 1
    if parts == 0:
        return 0
    firsts = range(1, min(total, largest) + 1)
    return sum(partitions(total - first, parts - 1, first) for first in firsts)


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (7, 2), (10, 10), (13, 3), (12, 1000)])
def test_a_space_holds_every_histogram_once(shape):
    space = histogram_space(*shape)
    n_teachers, n_classes = shape
    assert len(space.rows) == partitions(n_teachers, n_classes, n_teachers)
    assert space_module.size(*shape) == len(space.rows)
    assert len(np.unique(space.rows, axis=0)) == len(space.rows)
    assert (space.rows.sum(axis=1) == n_teachers).all()
    assert (np.diff(space.rows, axis=1) <= 0).all()


def test_neighbours_move_one_vote_and_each_knows_the_other():
    space = histogram_space(9, 4)
    for i, around in enumerate(space.neighbours):
        for j in set(around.tolist()) - {i}:
            assert i in space.neighbours[j]
    place = space.find(one([0, 5, 3, 1]))[0]
    near = {tuple(space.rows[j].tolist()) for j in space.neighbours[place]}
    assert (5, 3, 1, 0) in near
    assert (6, 2, 1, 0) in near
    assert (4, 3, 1, 1) in near
    assert (7, 1, 1, 0) not in near


def test_sensitivities_of_a_space_by_hand():
    space = histogram_space(4, 2)  # 4-0, 3-1, 2-2
    assert space.rows.tolist() == [[4, 0], [3, 1], [2, 2]]
    local = space.local_sensitivities(np.array([0.0, 1.0, 5.0]))
    assert local.tolist() == [[1, 4, 4, 4, 4], [4, 4, 4, 4, 4], [4, 4, 4, 4, 4]]


def test_a_large_space_is_refused():
    assert space_module.size(250, 10) == space_module.MOST + 1
    with pytest.raises(ValueError, match="more than 2000 histograms of 250 votes, 10 classes"):
        histogram_space(250, 10)


# --- releases ---------------------------------------------------------------------------------


def votes(n_queries=60, n_teachers=250, n_classes=10, agreement=0.9):
    rng = np.random.default_rng(5)
    rest = np.full(n_classes - 1, (1 - agreement) / (n_classes - 1))
    return rng.multinomial(n_teachers, np.append(agreement, rest), n_queries)


CONFIDENT = ConfidentMax(40.0, 200.0, 150.0)


@pytest.mark.data
def test_published_mnist(pate_votes):
    """[P18]'s own settings: 2.516 +- 0.385 at order 14, beta 0.46/14, sigma_ss 6.233."""
    counts = np.load(pate_votes)[:640].astype(np.int64)
    found = published(counts, CONFIDENT, 1e-5, PUBLISHED_ORDERS)
    assert found.mean == pytest.approx(2.516, abs=5e-4)
    assert found.std == pytest.approx(0.385, abs=5e-4)
    assert found.settings.order == 14
    assert found.settings.beta == pytest.approx(0.46 / 14)
    assert found.settings.sigma_ss == pytest.approx(6.233, abs=1e-3)
    assert found.improved_mean < found.mean
    corrected = distribution(counts, CONFIDENT, 1e-5, PUBLISHED_ORDERS)
    assert corrected.std < found.std  # at its best settings the true cost buys less noise
    assert corrected.improved_mean + 2 * corrected.std < 2.75


def test_releases_scatter_as_the_distribution_says():
    """Chi-square of seeded releases: accepts the stated deviation, rejects 0.8 and 1.25 of it."""
    counts, trials = votes(40, 30, 2, 0.5), 200  # far from zero, where releases are cut off
    mechanism = GaussianMax(6.0)
    entropy = SeededEntropy(0, "sanitize")
    drawn = [release(counts, mechanism, 1e-5, entropy, orders=[3.0]) for _ in range(trials)]
    settings = drawn[0].settings
    assert all(found.settings == settings for found in drawn)
    subject = ExactDivergence(6.0, None, 30, 2)
    value, local = subject.at(counts, None, settings.order)
    std = smooth_sensitivity(local, settings.beta) * settings.sigma_ss
    tail = math.log1p(-1 / settings.order) - (math.log(settings.order) + math.log(1e-5)) / (
        settings.order - 1
    )
    centre = value + gnss_rdp(settings.beta, settings.sigma_ss, settings.order) + tail
    z = (np.array([found.epsilon for found in drawn]) - centre) / std
    assert abs(z.mean()) < 5 / math.sqrt(trials)
    # chi-square / trials is 1 +- 0.1, where 0.64 and 1.56 would be expected of wrong scales
    assert 0.7 < (z**2).mean() < 1.41


def test_settings_of_a_release_do_not_look_at_the_votes():
    answered = np.ones(60, dtype=bool)
    settings = {
        release(votes(agreement=a), CONFIDENT, 1e-5, OsEntropy(), answered).settings
        for a in (0.5, 0.75, 0.99)
    }
    assert len(settings) == 1


def test_unanswered_queries_pay_for_the_test_only():
    counts, none = votes(), np.zeros(60, dtype=bool)
    subject = PublishedBound(40.0, ThresholdTest(200.0, 150.0), 250, 10)
    all_paid = subject.at(counts, ~none, 14.0)[0]
    test_only = subject.at(counts, none, 14.0)[0]
    assert test_only == pytest.approx(60 * 14 / (2 * 150**2))
    assert all_paid > 1.5 * test_only
    with pytest.raises(NotSanitizableError, match="say which ones"):
        release(counts, CONFIDENT, 1e-5, OsEntropy())


def test_small_ensembles_use_the_exact_divergence_of_both_directions():
    counts = votes(30, 10, 2, 0.95)
    subject = ExactDivergence(3.0, None, 10, 2)
    assert distribution(counts, GaussianMax(3.0), 1e-5).method == subject.method
    exact = exact_rdp(counts, GaussianLaw(3.0), [4.0]).sum()
    assert subject.at(counts, None, 4.0)[0] == pytest.approx(exact, rel=1e-12)


def test_one_class_costs_nothing_and_reveals_nothing():
    found = release(np.full((5, 1), 30), GaussianMax(3.0), 1e-5, OsEntropy())
    assert found.epsilon == 0
    assert found.settings.beta == 0
    with pytest.raises(NotSanitizableError, match="one class has no other answer"):
        published(np.full((5, 1), 30), GaussianMax(3.0), 1e-5)


@pytest.mark.parametrize(
    ("mechanism", "reason"),
    [
        (LaplaceMax(20.0), "exists for gnmax and confident, not for laplace"),
        (GaussianMax(), "mechanism.noise_scale must be set"),
        (GaussianMax(2.0), "condition C6 of PATE 2018 fails at sigma=2"),
    ],
)
def test_what_cannot_be_sanitized_is_refused_in_words(mechanism, reason):
    with pytest.raises(NotSanitizableError, match=reason):
        distribution(votes(), mechanism, 1e-5, [3.0, 4.0])
    with pytest.raises(NotSanitizableError, match=reason):
        published(votes(), mechanism, 1e-5, [3.0, 4.0])


def test_a_delta_that_is_none_is_refused():
    for delta in (0.0, 1.0):
        with pytest.raises(ConfigError, match=r"privacy\.delta"):
            distribution(votes(), CONFIDENT, delta)


@given(st.integers(1, 300), st.integers(1, 30))
def test_reference_votes_are_votes(n_teachers, n_classes):
    rows = reference_votes(n_teachers, n_classes)
    assert (rows >= 0).all()
    assert (rows.sum(axis=1) == n_teachers).all()
