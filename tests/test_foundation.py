"""Errors, checks and random streams: what everything else stands on."""

import inspect
import pickle

import numpy as np
import pytest

from fedpate import _check, errors
from fedpate.errors import BudgetExceeded, ConfigError, FedPateError, QuorumError
from fedpate.rng import stream, stream_seed


def test_the_error_tree_in_the_header_is_complete():
    classes = [
        c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__
    ]
    assert all(issubclass(c, FedPateError) for c in classes)
    assert all(c.__name__ in (errors.__doc__ or "") for c in classes)
    assert {c.exit_code for c in classes} == {1, 2, 3}


@pytest.mark.parametrize(
    "error", [BudgetExceeded("patient", 1.2345, 1.0, 1e-5), QuorumError(3, 5, "train")]
)
def test_refusals_survive_a_process_boundary(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert copy.exit_code == 3


@pytest.mark.parametrize(
    ("check", "value", "rule"),
    [
        (_check.positive, 0.0, "finite and > 0"),
        (_check.positive, float("nan"), "finite and > 0"),
        (_check.non_negative, -1e-9, "finite and >= 0"),
        (_check.finite, float("inf"), "finite"),
        (_check.open_unit, 1.0, "in (0, 1)"),
        (_check.open_unit, 0.0, "in (0, 1)"),
    ],
)
def test_a_check_names_setting_rule_and_value(check, value, rule):
    with pytest.raises(ConfigError) as caught:
        check(**{"privacy.delta": value})
    assert str(caught.value) == f"privacy.delta must be {rule}, got {value!r}"


def test_whole_numbers_are_not_truth_values():
    with pytest.raises(ConfigError, match="queries must be a whole number >= 1, got True"):
        _check.at_least(1, queries=True)
    _check.at_least(1, queries=1)


def test_a_choice_lists_what_is_allowed():
    with pytest.raises(ConfigError, match="trust must be one of a, b, got 'c'"):
        _check.one_of({"b", "a"}, trust="c")


def test_streams_depend_on_seed_and_name_and_on_nothing_else():
    draws = {
        tuple(stream(seed, *names).integers(0, 2**63, 4))
        for seed in (0, 1)
        for names in (("a",), ("b",), ("a", 1), ("a", "1", "x"))
    }
    assert len(draws) == 8
    assert stream_seed(3, "split") == stream_seed(3, "split")
    assert np.array_equal(stream(3, "x").normal(size=5), stream(3, "x").normal(size=5))
    assert stream_seed(1, "2", "3") != stream_seed(12, "3")
