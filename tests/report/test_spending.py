import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.privacy.accounting import guarantee
from fedpate.privacy.events import (
    Event,
    LaplaceVotes,
    NoisyArgmax,
    NoisyThreshold,
    NonPrivate,
    repeated,
)
from fedpate.report.spending import MOST_POINTS, MOST_SLOW_POINTS, spending

DELTA = 1e-5


def charge(*pieces, queries, purpose="labels"):
    events = [repeated(piece, queries) for piece in pieces]
    event = sum(events[1:], events[0])
    return {"purpose": purpose, "queries": queries, "events": {"patient": as_json(event)}}


def as_json(event: Event):
    return json.loads(event.to_json())


@given(st.lists(st.integers(1, 60), min_size=1, max_size=4), st.floats(2.0, 50.0))
def test_each_point_is_the_price_of_the_queries_before_it(counts, scale):
    piece = NoisyArgmax(scale, 1)
    found = spending([charge(piece, queries=n) for n in counts], "patient", DELTA)
    for queries, epsilon in zip(found.queries[1:], found.epsilon[1:], strict=True):
        assert epsilon == guarantee(repeated(piece, queries), DELTA).epsilon
    assert found.queries[0] == found.epsilon[0] == 0
    assert found.queries[-1] == sum(counts)
    assert found.epsilon == sorted(found.epsilon)
    assert set(found.queries) >= {end for _, end in found.charges}


def test_charges_of_different_kinds_follow_each_other():
    gate, answer = NoisyThreshold(20.0, 1), NoisyArgmax(10.0, 1)
    charges = [charge(gate, queries=80, purpose="tests"), charge(answer, queries=32)]
    found = spending(charges, "patient", DELTA)
    assert found.charges == [("tests", 80), ("labels", 112)]
    at_gate = found.epsilon[found.queries.index(80)]
    assert at_gate == guarantee(repeated(gate, 80), DELTA).epsilon
    total = guarantee(repeated(gate, 80) + repeated(answer, 32), DELTA).epsilon
    assert found.epsilon[-1] == total


def test_part_of_a_charge_is_rounded_up_to_whole_pieces():
    event = repeated(NoisyArgmax(5.0, 1), 7)  # 7 pieces for 2 queries
    charges = [{"purpose": "odd", "queries": 2, "events": {"patient": as_json(event)}}]
    found = spending(charges, "patient", DELTA)
    assert found.queries == [0, 1, 2]
    assert found.epsilon[1] == guarantee(repeated(NoisyArgmax(5.0, 1), 4), DELTA).epsilon


def test_slow_bounds_get_few_points():
    fast = spending([charge(NoisyArgmax(10.0, 1), queries=1000)], "patient", DELTA)
    slow = spending([charge(LaplaceVotes(50.0, 1), queries=1000)], "patient", DELTA)
    assert len(fast.queries) == MOST_POINTS
    assert len(slow.queries) == MOST_SLOW_POINTS


@pytest.mark.parametrize("charges", [[], [charge(NonPrivate(), queries=5)]])
def test_where_nothing_finite_was_spent_there_is_no_curve(charges):
    assert spending(charges, "patient", DELTA) is None


def test_many_charges_are_not_marked_one_by_one():
    charges = [charge(NoisyArgmax(30.0, 1), queries=1) for _ in range(100)]
    found = spending(charges, "patient", DELTA)
    assert len(found.queries) <= MOST_POINTS
    assert math.isclose(
        found.epsilon[-1], guarantee(repeated(NoisyArgmax(30.0, 1), 100), DELTA).epsilon
    )
