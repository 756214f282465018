import math

import numpy as np
import pytest
from dp_accounting.rdp import rdp_privacy_accountant as oracle
from hypothesis import given
from hypothesis import strategies as st

from fedpate.privacy.rdp import ORDERS, delta_improved, epsilon_classic, epsilon_improved
from golden_values import expected, golden

ACCOUNTING = "accounting.json"
orders_and_rdp = st.lists(
    st.tuples(st.floats(1.02, 2000), st.just(0.0) | st.floats(1e-6, 1e4)), min_size=1, max_size=20
).map(lambda pairs: tuple(np.array(column) for column in zip(*pairs, strict=True)))
deltas = st.floats(1e-12, 0.5)


def arguments(entry):
    return (entry["inputs"][name] for name in ("orders", "rdp", "delta"))


@pytest.mark.parametrize("entry", golden(ACCOUNTING, "rdp_to_eps_classic"))
def test_classic_conversion_golden(entry):
    assert epsilon_classic(*arguments(entry))[0] == expected(entry)


@pytest.mark.parametrize("entry", golden(ACCOUNTING, "rdp_to_eps_improved"))
def test_improved_conversion_golden(entry):
    assert epsilon_improved(*arguments(entry))[0] == expected(entry)


@pytest.mark.parametrize("entry", golden(ACCOUNTING, "rdp_to_delta_improved"))
def test_improved_delta_golden(entry):
    inputs = entry["inputs"]
    assert delta_improved(inputs["orders"], inputs["rdp"], inputs["epsilon"])[0] == expected(entry)


@given(orders_and_rdp, deltas)
def test_improved_conversion_agrees_with_dp_accounting(curve, delta):
    orders, rdp = curve
    epsilon, order = epsilon_improved(orders, rdp, delta)
    theirs, _ = oracle.compute_epsilon(orders, rdp, delta)
    assert epsilon == pytest.approx(theirs, rel=1e-12, abs=1e-12)
    alone = epsilon_improved([order], rdp[orders == order][:1], delta)[0]
    assert order in orders
    assert epsilon <= alone + 1e-12


@given(orders_and_rdp, st.floats(0, 50))
def test_improved_delta_agrees_with_dp_accounting(curve, epsilon):
    orders, rdp = curve
    theirs, _ = oracle.compute_delta(orders, rdp, epsilon)
    assert delta_improved(orders, rdp, epsilon)[0] == pytest.approx(theirs, rel=1e-9, abs=1e-300)


@given(orders_and_rdp, deltas)
def test_delta_and_epsilon_invert_each_other(curve, delta):
    orders, rdp = curve
    epsilon, _ = epsilon_improved(orders, rdp, delta)
    rounding = 1e-12 * (1 + epsilon)
    assert delta_improved(orders, rdp, epsilon + rounding)[0] <= delta * (1 + 1e-9)
    assert epsilon <= epsilon_classic(orders, rdp, delta)[0]


@given(orders_and_rdp, deltas, st.floats(1, 10))
def test_epsilon_grows_with_the_divergence_and_falls_with_delta(curve, delta, factor):
    orders, rdp = curve
    epsilon, _ = epsilon_improved(orders, rdp, delta)
    assert epsilon <= epsilon_improved(orders, rdp * factor, delta)[0]
    assert epsilon >= epsilon_improved(orders, rdp, min(delta * factor, 0.9))[0]


def test_whole_orders_are_as_good_as_floating_ones():
    # elsewhere, integer arrays overflow in powers of the order and give a negative divergence
    whole = np.arange(2, 400, dtype=np.int64)
    rdp = whole * np.int64(2)
    assert epsilon_improved(whole, rdp, 1e-5) == epsilon_improved(
        whole.astype(float), rdp.astype(float), 1e-5
    )


def test_an_infinite_divergence_gives_an_infinite_epsilon_or_another_order():
    assert epsilon_improved([2.0, 3.0], [math.inf, math.inf], 1e-5)[0] == math.inf
    assert epsilon_improved([2.0, 3.0], [math.inf, 1.0], 1e-5)[1] == 3.0
    assert delta_improved([2.0], [math.inf], 1.0)[0] == 1.0
    assert delta_improved([2.0], [1.0], math.inf)[0] == 0.0


def test_no_divergence_costs_nothing():
    assert epsilon_improved(ORDERS, np.zeros(len(ORDERS)), 1e-9)[0] == 0
    assert delta_improved(ORDERS, np.zeros(len(ORDERS)), 0.0)[0] == 0


@pytest.mark.parametrize(
    ("orders", "rdp", "delta", "rule"),
    [
        ([1.0], [0.1], 0.1, "orders must be finite and > 1"),
        ([math.inf], [0.1], 0.1, "orders must be finite and > 1"),
        ([2.0], [-1e-9], 0.1, "rdp must be >= 0"),
        ([2.0], [math.nan], 0.1, "rdp must be >= 0"),
        ([2.0, 3.0], [0.1], 0.1, "of one length"),
        ([], [], 0.1, "of one length"),
        ([2.0], [0.1], 0.0, "delta must be in"),
        ([2.0], [0.1], 1.0, "delta must be in"),
    ],
)
def test_what_is_refused(orders, rdp, delta, rule):
    with pytest.raises(ValueError, match=rule):
        epsilon_improved(orders, rdp, delta)


def test_the_default_orders_lose_little():
    # against a fine grid, for Gaussian curves over the whole range of interest
    fine = 1 + np.geomspace(0.005, 2000, 20001)
    for rho in np.geomspace(1e-5, 3e3, 60):
        coarse = epsilon_improved(ORDERS, ORDERS * rho, 1e-5)[0]
        assert coarse <= 1.005 * epsilon_improved(fine, fine * rho, 1e-5)[0]
