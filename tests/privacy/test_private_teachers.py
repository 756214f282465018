"""Events of private teachers: two prices, the smaller one counts, a training is paid for once."""

import math

import pytest

from fedpate.privacy.accounting import affordable, bounds, guarantee
from fedpate.privacy.events import (
    Event,
    FromPrivateTeachers,
    NoisyArgmax,
    NonPrivate,
    by_votes,
    compose,
    from_private_teachers,
    repeated,
    trainings,
)
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.mechanisms import GaussianMax, NoNoise

DELTA = 1e-5


def asked(n: int, training: str = "a", epsilon: float = 4.0, noise: float | None = None) -> Event:
    mechanism = NoNoise() if noise is None else GaussianMax(noise)
    return from_private_teachers(mechanism.event(n, 1, 10), training, epsilon, DELTA)


def test_without_noise_the_price_is_the_teachers_however_much_is_asked():
    for n in (1, 10_000):
        found = guarantee(asked(n), DELTA)
        assert (found.epsilon, found.bound) == (4.0, "dpsgd_teachers")
    assert guarantee(compose([asked(5), asked(900)]), DELTA).epsilon == 4.0
    assert guarantee(asked(1), DELTA / 2).epsilon == math.inf  # the training has used up its delta


def test_the_smaller_of_the_two_prices_counts_and_says_which_it_is():
    few, many = asked(10, noise=40.0), asked(10_000, noise=40.0)
    votes = guarantee(GaussianMax(40.0).event(10, 1, 10), DELTA)
    assert guarantee(few, DELTA) == votes
    assert bounds(few, DELTA)["dpsgd_teachers"].epsilon == 4.0
    assert guarantee(many, DELTA).bound == "dpsgd_teachers"
    assert guarantee(many, DELTA).epsilon == 4.0


def test_two_trainings_are_two_charges():
    both = compose([asked(5, "a", 1.0), asked(5, "b", 2.0)])
    assert guarantee(both, 3 * DELTA).epsilon == 3.0
    assert guarantee(both, DELTA).epsilon == math.inf  # deltas add up, too
    assert trainings(both) == {"a": (1.0, DELTA), "b": (2.0, DELTA)}
    louder = compose([asked(5, "a", 1.0), asked(5, "a", 2.0)])
    assert guarantee(louder, DELTA).epsilon == 2.0  # one name with two prices: the larger


def test_other_teachers_are_paid_for_by_their_votes_beside_it():
    other = GaussianMax(40.0).event(100, 1, 10)
    both = compose([asked(5, "a", 1.0), other])
    found = guarantee(both, 2 * DELTA)
    assert found.epsilon == 1.0 + guarantee(other, DELTA).epsilon
    assert found.bound == "dpsgd_teachers"
    spoilt = compose([both, repeated(NonPrivate(), 1)])
    assert guarantee(spoilt, 2 * DELTA).epsilon == math.inf


def test_a_cheap_training_and_dear_votes_are_chosen_one_by_one():
    dear = compose([asked(5, "a", 1.0), asked(5, "b", 50.0, noise=40.0)])
    expected = 1.0 + guarantee(GaussianMax(40.0).event(5, 1, 10), DELTA).epsilon
    assert guarantee(dear, 2 * DELTA).epsilon == pytest.approx(expected)


def test_the_ledger_keeps_both_prices():
    event = asked(7, noise=40.0)
    assert Event.from_json(event.to_json()) == event
    ((piece, count),) = event.pieces
    assert isinstance(piece, FromPrivateTeachers)
    assert (piece.inner, count) == (NoisyArgmax(40.0, 1), 7)
    assert by_votes(event) == GaussianMax(40.0).event(7, 1, 10)
    assert by_votes(event, ["a"]) == Event()


def test_a_budget_that_affords_the_training_affords_every_query(tmp_path):
    assert affordable(asked, Event(), 4.0, DELTA, 10**6) == 10**6
    assert affordable(asked, Event(), 3.9, DELTA, 10**6) == 0
    with PrivacyLedger.open(tmp_path / "ledger.sqlite", "f") as ledger:
        for n in (3, 400):
            ledger.charge(
                purpose="labels",
                query_hash=str(n),
                n_queries=n,
                events={"patient": asked(n)},
                delta=DELTA,
                budgets={"patient": 4.0},
            )
        assert ledger.epsilon("patient", DELTA) == 4.0
