import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.errors import ConfigError
from fedpate.learning.selection import (
    SELECTORS,
    EntropyQueries,
    KCenterQueries,
    Known,
    MarginQueries,
    RandomQueries,
    Selector,
    closeness,
    entropy,
    farthest_first,
)
from fedpate.rng import stream
from learning_cases import UNTOUCHED

N = 60
POOL = stream(0).normal(size=(N, 3)).astype(np.float32)
NOBODY = np.zeros(0, np.int64)
KINDS = [*(cls() for cls in SELECTORS.values()), KCenterQueries("student")]
each_kind = pytest.mark.parametrize("selector", KINDS, ids=lambda one: one.name)


def shares(seed: int = 1) -> np.ndarray:
    return stream(seed).dirichlet([0.5] * 4, N)


def known(asked=NOBODY, predicted=None, seed=0) -> Known:
    return Known(POOL, UNTOUCHED, np.array(asked, np.int64), predicted, seed)


def test_the_registry_is_closed_and_speaks_the_users_names():
    assert list(SELECTORS) == ["random", "entropy", "margin", "kcenter"]
    assert all(isinstance(selector, Selector) for selector in KINDS)
    assert [selector.learns for selector in KINDS] == [False, True, True, False, True]


@each_kind
@given(
    asked=st.lists(st.integers(0, N - 1), unique=True, max_size=N - 10),
    count=st.integers(1, 10),
    taught=st.booleans(),
)
def test_what_is_chosen_is_new_distinct_and_as_many_as_wanted(selector, asked, count, taught):
    chosen = selector.choose(known(asked, shares() if taught else None), count)
    assert len(chosen) == len(set(chosen.tolist())) == count
    assert not set(chosen.tolist()) & set(asked)


@each_kind
def test_the_same_knowledge_makes_the_same_choice(selector):
    first, again = (selector.choose(known([4, 9], shares()), 7) for _ in range(2))
    assert np.array_equal(first, again)


def test_fewer_random_queries_are_a_prefix_of_more_in_any_number_of_rounds():
    at_once = RandomQueries().choose(known(), 30)
    first = RandomQueries().choose(known(), 12)
    then = RandomQueries().choose(known(first, shares()), 18)
    assert np.array_equal(at_once, np.append(first, then))
    assert not np.array_equal(at_once, RandomQueries().choose(known(seed=1), 30))


@pytest.mark.parametrize("selector", [EntropyQueries(spread=1), MarginQueries(spread=1)])
def test_the_least_sure_are_asked(selector):
    score = entropy if selector.name == "entropy" else closeness
    unsure = score(shares())
    chosen = selector.choose(known([3], shares()), 5)
    rest = np.setdiff1d(np.arange(N), [3, *chosen])
    assert unsure[chosen].min() >= unsure[rest].max()


def test_spread_draws_from_more_of_the_least_sure():
    unsure = entropy(shares())
    chosen = EntropyQueries(spread=4).choose(known([], shares()), 5)
    least = np.argsort(-unsure)[:20]
    assert set(chosen) <= set(least)
    assert set(chosen) != set(least[:5])


def test_entropy_and_margin_have_their_known_values():
    table = np.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.2, 0.7, 0.1]])
    assert entropy(table)[:2] == pytest.approx([np.log(2), 0.0])
    assert closeness(table) == pytest.approx([0.0, -1.0, -0.5])


def test_farthest_first_takes_one_of_each_cluster():
    clusters = np.repeat([[0.0, 0.0], [10.0, 0.0], [0.0, 20.0]], 5, axis=0)
    points = clusters + stream(2).normal(0, 0.1, clusters.shape)
    left = np.arange(1, 15)
    chosen = farthest_first(points, np.array([0]), left, 2)
    assert (chosen // 5).tolist() == [2, 1]  # the farthest first


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EntropyQueries(0.5), "queries_by.spread must be finite and >= 1, got 0.5"),
        (lambda: MarginQueries(float("nan")), "queries_by.spread must be finite and >= 1, got nan"),
        (lambda: KCenterQueries("age"), "queries_by.by must be one of features, student"),
    ],
)
def test_impossible_settings_are_refused_by_name(make, message):
    with pytest.raises(ConfigError) as error:
        make()
    assert str(error.value).startswith(message)
