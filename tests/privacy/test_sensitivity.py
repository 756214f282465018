"""Parallel databases: the fast formulas equal deleting each record, and bounds hold or fall."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from fedpate.errors import ConfigError, DataError
from fedpate.privacy.entropy import SeededEntropy
from fedpate.privacy.sensitivity import QUERIES, column_sensitivity

PLAIN = {"count": len, "sum": np.sum, "mean": np.mean, "max": np.max}
LOWER, UPPER = -3.0, 7.0
columns = hnp.arrays(np.float64, st.integers(2, 12), elements=st.floats(LOWER, UPPER, width=32))


@pytest.mark.parametrize("query", QUERIES)
@given(values=columns)
def test_each_change_is_that_of_the_database_without_the_record(query, values):
    found = column_sensitivity(query, values)
    plain = PLAIN[query]
    without = [plain(np.delete(values, row)) for row in range(len(values))]
    expected = np.abs(plain(values) - np.array(without))
    np.testing.assert_allclose(found.changes, expected, rtol=1e-9, atol=1e-9)
    assert found.answer == pytest.approx(plain(values))
    assert found.empirical == found.changes.max()
    assert set(found.pivotal) >= set(np.flatnonzero(found.changes == found.empirical)) or (
        found.empirical == 0 and not len(found.pivotal)
    )


@pytest.mark.parametrize("query", QUERIES)
@given(values=columns)
def test_no_column_within_the_bounds_disproves_the_bound(query, values):
    found = column_sensitivity(query, values, lower=LOWER, upper=UPPER)
    assert found.bound_holds
    assert found.outside == 0


@pytest.mark.parametrize(
    ("query", "worst", "bound"),
    [
        ("count", [0.0, 0.0], 1.0),
        ("sum", [LOWER, UPPER, LOWER], 7.0),
        ("mean", [UPPER, LOWER, LOWER, LOWER], 2.5),
        ("max", [LOWER, UPPER, LOWER], 10.0),
    ],
)
def test_some_column_reaches_the_bound(query, worst, bound):
    found = column_sensitivity(query, np.array(worst), lower=LOWER, upper=UPPER)
    assert found.empirical == pytest.approx(bound, rel=1e-12)
    assert found.bound == pytest.approx(bound, rel=1e-12)
    assert found.bound_holds


@pytest.mark.parametrize("query", ["sum", "mean", "max"])
def test_a_bound_that_is_too_narrow_is_disproved(query):
    values = np.array([1.0, 0.0, 100.0, 1.0])
    found = column_sensitivity(query, values, lower=0.0, upper=1.0)
    assert found.bound_holds is False
    assert found.outside == 1
    assert found.pivotal.tolist() == [2]


def test_a_tied_maximum_hangs_on_nobody_and_a_lone_one_on_its_row():
    assert column_sensitivity("max", np.array([5, 2, 5])).pivotal.tolist() == []
    found = column_sensitivity("max", np.array([5, 2, 4]))
    assert (found.pivotal.tolist(), found.empirical) == ([0], 1.0)
    assert (found.bound, found.bound_holds) == (None, None)


@pytest.mark.parametrize("factor", [1.0, 0.8, 1.25])
def test_the_noise_is_laplace_at_the_bound_over_epsilon_whatever_the_data(factor):
    values = np.array([0.2, 0.1, 0.3])  # far below the bound: the empirical change must not count
    entropy = SeededEntropy(1, "sensitivity")
    found = column_sensitivity(
        "sum", values, lower=0.0, upper=4.0, epsilon=0.5, draws=8000, entropy=entropy
    )
    assert found.noise_scale == 8.0
    law = stats.laplace(loc=values.sum(), scale=8.0 * factor)
    p_value = stats.kstest(found.noisy_answers, law.cdf).pvalue
    assert (p_value > 1e-6) == (factor == 1.0)


def test_without_a_bound_there_is_no_noise_to_add():
    found = column_sensitivity("mean", np.array([1.0, 2.0]), epsilon=1.0)
    assert found.noise_scale is None
    assert found.to_dict()["noisy_answers"] == []


def test_the_printed_result_names_rows_and_never_values():
    found = column_sensitivity("max", np.array([3.25, 17.5, 2.125]), lower=0, upper=20, epsilon=1)
    assert found.to_dict() | {"noisy_answers": 5} == {
        "query": "max",
        "records": 3,
        "relation": "remove_one",
        "answer": 17.5,
        "empirical_sensitivity": 14.25,
        "pivotal_rows": [1],
        "theoretical_bound": 20,
        "bound_holds": True,
        "values_outside_bounds": 0,
        "epsilon": 1,
        "noise_scale": 20.0,
        "noisy_answers": len(found.noisy_answers),
    }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([1.0]), "at least 2 values"),
        (np.zeros((2, 2)), "at least 2 values"),
        (np.array([1.0, np.nan, np.inf]), "finite numbers, 2 of 3"),
        (np.array(["a", "b"]), "must hold numbers"),
    ],
)
def test_a_column_that_is_not_one_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        column_sensitivity("sum", values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"query": "median"}, "query must be one of count, max, mean, sum"),
        ({"lower": 0.0}, "lower and upper go together"),
        ({"lower": 1.0, "upper": 1.0}, "lower must be < upper"),
        ({"epsilon": 0.0}, "epsilon must be finite and > 0"),
    ],
)
def test_impossible_questions_are_refused(change, message):
    arguments = {"query": "sum", "values": np.array([1.0, 2.0])} | change
    with pytest.raises(ConfigError, match=message):
        column_sensitivity(**arguments)
