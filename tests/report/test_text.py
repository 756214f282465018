import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.report import text


@given(st.floats(0, 1e4))
def test_a_printed_epsilon_is_never_below_the_price(value):
    printed = float(text.epsilon(value))
    assert printed >= value - 1e-8
    assert printed <= value + 0.01 + 1e-8


@pytest.mark.parametrize(
    ("value", "printed"), [(None, "-"), (math.inf, "infinite"), (7.0, "7.00"), (7.001, "7.01")]
)
def test_epsilons(value, printed):
    assert text.epsilon(value) == printed


@given(st.floats(0, 1e4))
def test_what_is_left_of_a_budget_is_never_printed_above_it(value):
    printed = float(text.left(value))
    assert value - 0.01 - 1e-8 <= printed <= value + 1e-8


@pytest.mark.parametrize(
    ("value", "printed"), [(None, "-"), (math.inf, "infinite"), (7.0, "7.00"), (7.219, "7.21")]
)
def test_what_is_left(value, printed):
    assert text.left(value) == printed


@pytest.mark.parametrize(
    ("n_bytes", "printed"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2.5e9, "2.5 GB")]
)
def test_sizes(n_bytes, printed):
    assert text.size(n_bytes) == printed


@pytest.mark.parametrize(
    ("epsilon", "printed"),
    [(0.0, "1"), (0.5, "1.7"), (1.0, "2.8"), (7.123, "1,300"), (20, "more than a million")],
)
def test_factors_are_rounded_up(epsilon, printed):
    assert text.factor(epsilon) == printed
