"""Near duplicates are counted the same however many rows are looked at together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.federation import near_duplicates
from fedpate.federation.near_duplicates import NEARNESS, NearDuplicates
from fedpate.records import QueryBatch

# On a line of places that are 0.6 of the limit apart, some stand near each other and some do not.
places = st.lists(st.integers(0, 12), min_size=1, max_size=12)


def question(place):
    """A question of two columns, at such a place on the logarithmic scale."""
    return np.array([np.expm1(5 + 0.6 * NEARNESS * place) * 1e-3, 1.0])


def batch(features):
    return QueryBatch(np.arange(len(features)), features)


def expected(rounds):
    """How many differ from an earlier one by less than the limit, and from all by something."""
    seen, near = [], 0
    for places in rounds:
        for place in places:
            if place not in seen:
                near += any(abs(place - other) == 1 for other in seen)
                seen.append(place)
    return near


@pytest.mark.parametrize("at_a_time", [1, 3, 1000])
@given(st.lists(places, min_size=1, max_size=3))
def test_all_are_held_against_all_earlier_ones(tmp_path_factory, at_a_time, rounds):
    asked = NearDuplicates(tmp_path_factory.mktemp("hospital") / "asked.sqlite")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_COPIED", "_COMPARED", "_PIECE", "_PARAMETERS"):
            patch.setattr(near_duplicates, name, at_a_time)
        for places in rounds:
            features = np.stack([question(place) for place in places]).astype(np.float32)
            new = asked.look(batch(features))
            before = asked.count() + sum(one.near for one in new)
            asked.remember(new)
            assert asked.count() == before
            assert asked.look(batch(features)) == []  # equal ones are repeats
    assert asked.count() == expected(rounds)


def test_many_copies_of_one_image_that_differ_a_little_are_all_counted(tmp_path):
    asked = NearDuplicates(tmp_path / "asked.sqlite")
    rng = np.random.default_rng(0)
    image = rng.integers(50, 200, (1, 28, 28)).astype(np.uint8)
    copies = np.repeat(image[None], 2000, axis=0)
    copies[np.arange(2000), 0, np.arange(2000) // 28 % 28, np.arange(2000) % 28] += 1
    copies[784:, 0, 0, 0] += (np.arange(2000 - 784) // 784 + 1).astype(np.uint8)
    assert (
        sum(one.near for one in asked.look(batch(copies)))
        == len(np.unique(copies.reshape(2000, -1), axis=0)) - 1
    )
    others = rng.integers(0, 256, (50, 1, 28, 28)).astype(np.uint8)
    asked.remember(asked.look(batch(others)))
    assert asked.count() == 0
