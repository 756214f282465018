import dataclasses
import math
from itertools import pairwise

import dp_accounting
import numpy as np
import pytest
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from fedpate.errors import ConfigError
from fedpate.privacy import accounting, costs, curves, gaussian, pld
from fedpate.privacy.accounting import (
    Guarantee,
    affordable,
    as_dp_event,
    bounds,
    calibrate,
    guarantee,
)
from fedpate.privacy.events import (
    BoundedRange,
    Event,
    GaussianVotes,
    LaplaceVotes,
    NoisyArgmax,
    NoisyThreshold,
    NonPrivate,
    PureDp,
    repeated,
)
from fedpate.privacy.rdp import ORDERS
from golden_values import expected, golden

ACCOUNTING = "accounting.json"
DELTA = 1e-5
PIECES = [
    NoisyArgmax(20.0, 1),
    NoisyThreshold(30.0, 1),
    GaussianVotes(20.0, 1),
    LaplaceVotes(20.0, 1),
    BoundedRange(0.1),
    PureDp(0.1),
]
pieces = st.one_of(
    st.builds(NoisyArgmax, st.floats(0.5, 500), st.integers(1, 30)),
    st.builds(NoisyThreshold, st.floats(0.5, 500), st.integers(1, 30)),
    st.builds(GaussianVotes, st.floats(0.5, 500), st.integers(1, 30)),
    st.builds(BoundedRange, st.floats(1e-3, 5)),
)


# The Gaussian in closed form ---------------------------------------------------------------------


@pytest.mark.parametrize("entry", golden(ACCOUNTING, "gauss_gdp"))
def test_gaussian_golden(entry):
    inputs = entry["inputs"]
    event = repeated(NoisyArgmax(inputs["sigma"], 1), inputs["k"])
    assert bounds(event, inputs["delta"])["gaussian"].epsilon == expected(entry)


@given(st.floats(0.01, 6), st.floats(0, 20))
def test_delta_is_the_hockey_stick_divergence(mu, epsilon):
    def excess(x):
        return max(0.0, stats.norm.pdf(x) - math.exp(epsilon) * stats.norm.pdf(x + mu))

    start = epsilon / mu - mu / 2  # where the densities' ratio is e^epsilon
    edges = [start + step for step in (0, 0.5, 2, 6, 14)]
    total = sum(
        integrate.quad(excess, low, high, epsabs=1e-300, epsrel=1e-11)[0]
        for low, high in pairwise(edges)
    )
    if start < -14:
        total = 1.0
    assert gaussian.delta(mu, epsilon) == pytest.approx(total, rel=1e-7, abs=1e-250)


@given(st.floats(1e-4, 1e6), st.floats(1e-15, 0.9))
def test_epsilon_inverts_delta_and_is_rounded_up(mu, delta):
    epsilon = gaussian.epsilon(mu, delta)
    assert gaussian.delta(mu, epsilon) <= delta
    if epsilon > 0:
        assert gaussian.delta(mu, epsilon * (1 - 1e-8) - 1e-12) > delta * (1 - 1e-6)


# Simple curves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", golden(ACCOUNTING, "em_bounded_range"))
def test_bounded_range_golden(entry):
    scale, order = entry["inputs"]["gumbel_scale"], entry["inputs"]["order"]
    assert curves.bounded_range(2 / scale, np.array([float(order)]))[0] == expected(entry)


@given(st.floats(1e-3, 30), st.sampled_from(list(ORDERS[20:])), st.floats(0, 1))
def test_no_bounded_range_law_has_a_larger_divergence(eta, order, place):
    t = place * eta
    weight = (math.exp(-t) - math.exp(-eta)) / -math.expm1(-eta)  # of the loss t, under Q
    losses, weights = np.array([t, t - eta]), np.array([weight, 1 - weight])
    log_moment = np.logaddexp.reduce(order * losses + np.log(np.maximum(weights, 1e-300)))
    bound = curves.bounded_range(eta, np.array([order]))[0]
    assert log_moment / (order - 1) <= bound + 1e-12 * order
    assert bound <= eta * eta / 8 * order * (1 + 1e-8)
    assert bound <= eta * (1 + 1e-8)


@given(st.floats(1e-3, 20), st.sampled_from(list(ORDERS[40:160])))
def test_laplace_and_pure_curves_against_quadrature(shift, order):
    def integrand(x):  # p^a q^(1-a), over e^((a-1) shift)
        return 0.5 * math.exp(-order * abs(x - shift) + (order - 1) * (abs(x) - shift))

    moment = sum(
        integrate.quad(integrand, low, high, epsrel=1e-11)[0]
        for low, high in [(-60.0, 0.0), (0.0, shift), (shift, shift + 60.0)]
    )
    exact = shift + math.log(moment) / (order - 1)
    assert curves.laplace(shift, np.array([order]))[0] == pytest.approx(exact, rel=1e-6, abs=1e-7)
    assert curves.laplace(shift, ORDERS)[-1] <= shift * (1 + 1e-8)
    assert (curves.laplace(shift, ORDERS) <= curves.pure(shift, ORDERS) * (1 + 1e-8)).all()


@pytest.mark.parametrize("curve", [curves.pure, curves.laplace, curves.bounded_range])
@pytest.mark.parametrize("size", [0.0, 1e-300, 1e-9, 1.0, 1e3, 1e200])
def test_curves_are_defined_grow_with_the_order_and_do_not_overflow(curve, size):
    values = curve(size, ORDERS)
    assert np.isfinite(values).all()
    assert (values >= 0).all()
    assert (values <= size * (1 + 1e-8)).all()
    assert (np.diff(values) >= -1e-9 * values[1:]).all()


# Privacy loss distributions ----------------------------------------------------------------------


def two_laplace_delta(shifts, epsilon, width=30.0, n=1501):
    """Hockey-stick divergence of independent Laplace coordinates, each moved, by a fine grid."""
    losses, probabilities = [0.0], [1.0]
    for shift in shifts:
        edges = np.unique(np.concatenate([np.linspace(-width, width, n), [0.0, shift]]))
        mass = np.diff(stats.laplace.cdf(edges, loc=shift))
        middle = (edges[1:] + edges[:-1]) / 2
        loss = np.abs(middle) - np.abs(middle - shift)
        losses = np.add.outer(losses, loss).ravel()
        probabilities = np.multiply.outer(probabilities, mass).ravel()
    gain = -np.expm1(np.minimum(epsilon - losses, 0))
    return float(np.dot(probabilities, gain))


@pytest.mark.parametrize(("scale", "moved"), [(1.0, 1), (4.0, 1), (4.0, 5)])
def test_one_laplace_release_is_priced_exactly(scale, moved):
    shift = moved / scale
    delta = 0.05
    epsilon = pld.epsilon(((LaplaceVotes(scale, moved), 1),), delta)
    assert 0 < epsilon < 2 * shift
    assert two_laplace_delta([shift, shift], epsilon + 1e-3) < delta
    assert two_laplace_delta([shift, shift], epsilon - 1e-3) > delta


def test_a_spread_move_is_dominated_by_a_concentrated_one():
    for epsilon in (0.1, 0.5, 1.0):
        together = two_laplace_delta([1.0, 1.0], epsilon)
        spread = two_laplace_delta([0.5, 0.5, 1.0], epsilon, width=25.0, n=201)
        assert spread < together


def test_a_gaussian_beside_other_pieces_is_not_doubled():
    # dp_accounting's REPLACE_ONE doubles a sensitivity that already counts a replacement
    mixed = repeated(GaussianVotes(40.0, 1), 100) + repeated(PureDp(1e-9), 1)
    alone = guarantee(repeated(GaussianVotes(40.0, 1), 100), DELTA)
    assert bounds(mixed, DELTA)["pld"].epsilon == pytest.approx(alone.epsilon, rel=2e-3)


@pytest.mark.parametrize("piece", PIECES)
def test_the_count_counts(piece):
    epsilons = [guarantee(repeated(piece, count), DELTA).epsilon for count in (1, 2, 5, 20, 100)]
    assert (np.diff(epsilons) > 0).all()


def test_randomized_response_composes_to_the_exact_optimum():
    # 2 eps-DP releases: delta(x) over losses 2 eps, 0, -2 eps (Kairouz, Oh, Viswanath 2015)
    epsilon = 0.5
    p = 1 / (1 + math.exp(-epsilon))
    exact = math.log((p * p - 0.1) / (1 - p) ** 2)
    found = bounds(repeated(PureDp(epsilon), 2), 0.1)["pld"].epsilon
    assert found == pytest.approx(exact, abs=1e-3)
    assert found >= exact


def test_privacy_loss_distributions_leave_what_they_cannot_reach_to_other_bounds():
    found = bounds(repeated(LaplaceVotes(1e-3, 1), 4), DELTA)
    assert found["pld"].epsilon == math.inf
    assert guarantee(repeated(LaplaceVotes(1e-3, 1), 4), DELTA).epsilon <= 8000
    assert bounds(repeated(LaplaceVotes(20.0, 1), 10), 1e-14)["pld"].epsilon == math.inf
    assert guarantee(repeated(LaplaceVotes(20.0, 1), 10), 1e-14).epsilon <= 1.0


# The accountant ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("event", "names", "winner"),
    [
        (Event(), {"none_asked"}, "none_asked"),
        (repeated(NonPrivate(), 1), {"non_private"}, "non_private"),
        (repeated(PIECES[0], 2) + repeated(NonPrivate(), 1), {"non_private"}, "non_private"),
        (repeated(NoisyArgmax(40.0, 1), 100), {"argmax_only", "gaussian"}, "argmax_only"),
        (repeated(NoisyArgmax(40.0, 25), 100), {"argmax_only", "gaussian"}, "gaussian"),
        (repeated(GaussianVotes(40.0, 1), 100), {"rdp", "gaussian"}, "gaussian"),
        (repeated(LaplaceVotes(20.0, 1), 100), {"rdp", "pld", "pure"}, "pld"),
        (repeated(LaplaceVotes(20.0, 1), 1), {"rdp", "pld", "pure"}, "pld"),
        (repeated(BoundedRange(0.1), 100), {"bounded_range", "pld", "pure"}, "bounded_range"),
        (repeated(PureDp(2.0), 1), {"rdp", "pld", "pure"}, "pld"),
        (
            repeated(NoisyArgmax(40.0, 1), 100) + repeated(LaplaceVotes(200.0, 1), 1),
            {"argmax_only", "pld"},
            "argmax_only",
        ),
    ],
)
def test_the_smallest_bound_is_taken_and_named(event, names, winner):
    found = bounds(event, DELTA)
    best = guarantee(event, DELTA)
    assert set(found) == names
    assert best.bound == winner
    assert best.epsilon == min(bound.epsilon for bound in found.values())
    assert all(found[name].bound == name for name in names)
    assert (best.order is not None) == (winner in {"argmax_only", "bounded_range", "rdp"})


def test_the_numbers_of_the_project():
    for count, most, gaussian_epsilon in ((100, 1.166, 1.356), (1000, 4.169, 4.983)):
        found = bounds(repeated(NoisyArgmax(40.0, 1), count), DELTA)
        assert 0.99 * most < found["argmax_only"].epsilon <= most
        assert found["gaussian"].epsilon == pytest.approx(gaussian_epsilon, abs=1e-3)
    confident = repeated(NoisyThreshold(150.0, 1), 640) + repeated(NoisyArgmax(40.0, 1), 283)
    assert 2.1 < guarantee(confident, DELTA).epsilon <= 2.15
    assert bounds(confident, DELTA)["gaussian"].epsilon == pytest.approx(2.53, abs=5e-3)


def test_a_hospital_is_priced_by_its_vector_not_as_a_group():
    # k teachers move together: mu = sqrt2 k / sigma, exactly
    for k in (2, 25):
        found = guarantee(repeated(NoisyArgmax(40.0, k), 100), DELTA)
        mu = math.sqrt(2 * 100) * k / 40
        assert found.epsilon == pytest.approx(gaussian.epsilon(mu, DELTA), rel=1e-9)


def test_nothing_asked_costs_nothing_and_nothing_added_costs_infinity():
    assert guarantee(Event(), DELTA) == Guarantee(0.0, DELTA, "none_asked")
    assert guarantee(repeated(NonPrivate(), 1), DELTA).epsilon == math.inf


@given(pieces, st.integers(1, 10**6), st.integers(1, 10**6), st.floats(1e-12, 0.4))
@settings(max_examples=200)
def test_epsilon_grows_with_the_count_and_falls_with_delta(piece, count, more, delta):
    names = ("argmax_only", "gaussian", "rdp", "bounded_range", "pure")

    def epsilon(n, d):
        solvers = accounting._solvers(repeated(piece, n))
        return min(solver(d)[0] for name, solver in solvers.items() if name in names)

    here = epsilon(count, delta)
    assert here >= 0
    assert here <= epsilon(count + more, delta) * (1 + 1e-9)
    assert here >= epsilon(count, min(0.5, 2 * delta)) * (1 - 1e-9)


@given(st.floats(0.5, 500), st.integers(1, 30), st.floats(1, 3))
def test_epsilon_falls_with_the_noise(scale, moved, factor):
    for kind in (NoisyArgmax, NoisyThreshold, GaussianVotes):
        louder = guarantee(repeated(kind(scale * factor, moved), 50), DELTA).epsilon
        assert louder <= guarantee(repeated(kind(scale, moved), 50), DELTA).epsilon * (1 + 1e-9)


def test_huge_epsilons_stay_ordered_until_they_overflow():
    scales = (1.0, 1e-3, 1e-50, 1e-150, 1e-160)
    epsilons = [guarantee(repeated(NoisyArgmax(s, 1), 10), DELTA).epsilon for s in scales]
    assert epsilons == sorted(epsilons)
    assert math.isfinite(epsilons[3])
    assert epsilons[-1] == math.inf


@pytest.mark.parametrize("delta", [0.0, 1.0, -0.1, 2.0])
def test_delta_outside_the_unit_interval_is_refused_by_name(delta):
    with pytest.raises(ConfigError, match=r"privacy\.delta must be in \(0, 1\)"):
        guarantee(repeated(NoisyArgmax(40.0, 1), 1), delta)


def test_slack_is_paid_out_of_delta():
    event = repeated(NoisyArgmax(40.0, 1), 100)
    sloppy = dataclasses.replace(event, slack=1e-6)
    paid = guarantee(sloppy, DELTA)
    left = DELTA - (1 + math.exp(paid.epsilon)) * 1e-6
    assert paid.delta == DELTA
    assert guarantee(event, left).epsilon <= paid.epsilon
    assert paid.epsilon <= guarantee(event, DELTA / 2).epsilon
    assert guarantee(dataclasses.replace(event, slack=2.0**-100), DELTA).epsilon == pytest.approx(
        guarantee(event, DELTA).epsilon, rel=1e-12
    )


def test_coins_that_run_out_are_an_infinite_epsilon_or_an_error():
    # epsilon 500 needs coins finer than e^-500
    large = repeated(GaussianVotes(1.0, 1), 250, slack=2.0**-115)
    assert guarantee(repeated(GaussianVotes(1.0, 1), 250), DELTA).epsilon < 500
    assert guarantee(large, DELTA).epsilon == math.inf
    with pytest.raises(ConfigError, match=r"privacy\.delta must be > 2e-05, twice"):
        guarantee(repeated(GaussianVotes(1.0, 1), 1, slack=1e-5), DELTA)


# Calibration and budgets -------------------------------------------------------------------------


@given(st.floats(0.01, 100), st.integers(1, 5000), st.sampled_from([1, 25]))
@settings(max_examples=40)
def test_calibration_meets_the_target_with_the_least_noise(target, queries, moved):
    def make(scale):
        return repeated(NoisyArgmax(scale, moved), queries)

    scale = calibrate(make, target, DELTA)
    assert guarantee(make(scale), DELTA).epsilon <= target
    assert guarantee(make(scale * (1 - 1e-4)), DELTA).epsilon > target


@pytest.mark.parametrize("target", [0.3, 3.0])
def test_laplace_calibration(target):
    def make(scale):
        return repeated(LaplaceVotes(scale, 1), 200)

    scale = calibrate(make, target, DELTA)
    assert guarantee(make(scale), DELTA).epsilon <= target
    assert guarantee(make(scale * 0.999), DELTA).epsilon > target


def test_a_target_out_of_reach_is_refused_by_name():
    def make(scale):
        return repeated(NoisyArgmax(scale, 1), 10) + repeated(NonPrivate(), 1)

    with pytest.raises(ConfigError, match=r"privacy\.target_epsilon=1 is out of reach"):
        calibrate(make, 1.0, DELTA)
    with pytest.raises(ConfigError, match=r"privacy\.target_epsilon must be finite and > 0"):
        calibrate(make, -1.0, DELTA)


@given(st.floats(0.2, 8), st.integers(0, 300), st.integers(0, 400))
@settings(max_examples=40)
def test_affordable_is_the_largest_count_within_the_budget(budget, spent, at_most):
    already = repeated(NoisyArgmax(40.0, 1), spent) if spent else Event()

    def make(count):
        return repeated(NoisyThreshold(150.0, 1), count) + repeated(NoisyArgmax(40.0, 1), count)

    count = affordable(make, already, budget, DELTA, at_most)
    assert 0 <= count <= at_most
    if count:
        assert guarantee(already + make(count), DELTA).epsilon <= budget
    if count < at_most:
        assert guarantee(already + make(count + 1), DELTA).epsilon > budget


def test_a_budget_exactly_spent_is_within_it():
    def make(count):
        return repeated(NoisyArgmax(40.0, 1), count)

    budget = guarantee(make(37), DELTA).epsilon
    assert affordable(make, Event(), budget, DELTA, 1000) == 37


# Replay by dp_accounting -------------------------------------------------------------------------

ADD_OR_REMOVE = dp_accounting.NeighboringRelation.ADD_OR_REMOVE_ONE


def test_any_piece_can_be_replayed_and_costs_at_least_ours():
    event = sum((repeated(piece, 10) for piece in PIECES), Event())
    replay = RdpAccountant(list(ORDERS), ADD_OR_REMOVE)
    replay.compose(as_dp_event(event))
    assert guarantee(event, DELTA).epsilon <= replay.get_epsilon(DELTA) * (1 + 1e-6)
    assert isinstance(as_dp_event(Event()), dp_accounting.NoOpDpEvent)
    replay.compose(as_dp_event(repeated(NonPrivate(), 1)))
    assert replay.get_epsilon(DELTA) == math.inf


@pytest.mark.parametrize("piece", [GaussianVotes(20.0, 2), NoisyThreshold(9.0, 3)])
def test_a_replay_of_gaussian_pieces_gives_the_closed_form(piece):
    event = repeated(piece, 30)
    replay = PLDAccountant(ADD_OR_REMOVE)
    replay.compose(as_dp_event(event))
    assert replay.get_epsilon(DELTA) == pytest.approx(
        bounds(event, DELTA)["gaussian"].epsilon, rel=1e-4
    )


def test_a_replay_of_laplace_pieces_gives_our_price():
    event = repeated(LaplaceVotes(20.0, 3), 50)
    replay = PLDAccountant(ADD_OR_REMOVE)
    replay.compose(as_dp_event(event))
    assert replay.get_epsilon(DELTA) == pytest.approx(guarantee(event, DELTA).epsilon, rel=1e-4)


def test_curves_of_pieces_are_shared_and_cannot_be_changed():
    curve = costs.rdp(NoisyArgmax(40.0, 1))
    assert curve is costs.rdp(NoisyArgmax(40.0, 1))
    with pytest.raises(ValueError, match="read-only"):
        curve[0] = 0.0
