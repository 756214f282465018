import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpate._json import dumps
from fedpate.errors import ConfigError
from fedpate.privacy import analyses
from fedpate.privacy.account import Account, data_dependent, sanitized
from fedpate.privacy.accounting import bounds, guarantee
from fedpate.privacy.histograms import validated
from fedpate.privacy.mechanisms import (
    ConfidentMax,
    GaussianMax,
    GumbelMax,
    InteractiveMax,
    LaplaceMax,
    NoNoise,
    PermuteAndFlip,
    RandomizedResponse,
)
from fedpate.privacy.noise import OsEntropy

CONFIDENT = ConfidentMax(8.0, 40.0, 16.0)
INTERACTIVE = InteractiveMax(8.0, 20.0, 12.0, 0.9)
NOISY_MAX = [GaussianMax(8.0), LaplaceMax(6.0), GumbelMax(6.0), PermuteAndFlip(6.0)]
ALL = [*NOISY_MAX, CONFIDENT, INTERACTIVE, RandomizedResponse(0.5), NoNoise()]
by_name = pytest.mark.parametrize("mechanism", ALL, ids=lambda mechanism: mechanism.name)

UNIT_KEYS = {
    "guaranteed",
    "guaranteed_bound",
    "guaranteed_order",
    "at_most",
    "gaussian",
    "bounds",
    "data_dependent",
    "data_dependent_orders",
    "data_dependent_reasons",
    "sanitized",
    "sanitized_reason",
    "votes_moved",
}


def votes(n_queries=12, n_teachers=50, n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.full(n_classes, 0.2), n_queries)
    return rng.multinomial(n_teachers, shares)


@by_name
def test_every_mechanism_has_every_key(mechanism):
    block = Account(votes(), mechanism, 1e-5, teachers_per_hospital=5).to_json()
    assert dumps(block)  # no NaN, and nothing that JSON does not know
    assert block["mechanism"]["name"] == mechanism.name
    assert (block["queries"], block["teachers"]) == (12, 50)
    for unit, moved in (("patient", 1), ("hospital", 5)):
        prices = block["epsilon"][unit]
        assert set(prices) == UNIT_KEYS
        assert prices["votes_moved"] == moved
        assert prices["at_most"] == guarantee(mechanism.event(12, moved, 4), 1e-5).epsilon
        for analysis, value in prices["data_dependent"].items():
            reason = prices["data_dependent_reasons"][analysis.removesuffix("_classic")]
            assert (value is None) == (reason is not None)
            assert (value is None) == (prices["data_dependent_orders"][analysis] is None)
        assert (prices["sanitized"] is None) == (prices["sanitized_reason"] is not None)
    assert set(block["not_releasable"]) == {"answered", "data_dependent", "sanitized"}


def test_which_analyses_exist():
    found = {m.name: Account(votes(), m, 1e-5).to_json()["epsilon"]["patient"] for m in ALL}
    published = {n for n, p in found.items() if p["data_dependent"]["published"] is not None}
    exact = {n for n, p in found.items() if p["data_dependent"]["exact"] is not None}
    assert published == {"gnmax", "laplace", "confident", "interactive"}
    assert exact == published | {"gumbel", "permute_and_flip"}
    assert {n for n, p in found.items() if p["sanitized"]} <= {"gnmax", "confident"}
    assert math.isinf(found["none"]["guaranteed"])


@by_name
def test_data_dependent_is_the_exact_analysis(mechanism):
    value = data_dependent(votes(), mechanism, 1e-5)
    block = Account(votes(), mechanism, 1e-5).to_json()
    assert value == block["epsilon"]["patient"]["data_dependent"]["exact"]


@settings(max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from([*NOISY_MAX, CONFIDENT, INTERACTIVE]))
def test_exact_is_never_above_the_rdp_price_of_every_query(seed, mechanism):
    """By RDP alone: closed forms for whole runs can be below any sum of divergences."""
    counts = votes(6, 50, 3, seed)
    by_rdp = {"argmax_only", "bounded_range", "rdp"}
    found = bounds(mechanism.event(6, 1, 3), 1e-5)
    price = min(found[name].epsilon for name in by_rdp & set(found))
    assert data_dependent(counts, mechanism, 1e-5) <= price * (1 + 1e-9)


def test_two_classes_have_an_exact_price_per_hospital():
    counts = votes(n_classes=2)
    prices = Account(counts, GaussianMax(20.0), 1e-5, teachers_per_hospital=5).to_json()["epsilon"]
    patient, hospital = (prices[unit]["data_dependent"]["exact"] for unit in prices)
    assert patient < hospital <= prices["hospital"]["bounds"]["argmax_only"]
    assert data_dependent(counts, GaussianMax(20.0), 1e-5, votes_moved=5) == hospital
    assert data_dependent(votes(), GaussianMax(20.0), 1e-5, votes_moved=5) is None


def test_guaranteed_pays_for_the_expected_answers_and_at_most_for_all():
    counts = votes(40)
    account = Account(counts, CONFIDENT, 1e-5)
    expected = account.answered()["expected"]
    prices = account.to_json()["epsilon"]["patient"]
    pieces = dict(CONFIDENT.event(40, 1, 4).pieces)
    assert set(pieces.values()) == {40}
    assert 5 < expected < 35
    assert prices["guaranteed"] < prices["at_most"]
    assert Account(counts, GaussianMax(8.0), 1e-5).to_json()["epsilon"]["patient"]["at_most"] == (
        guarantee(GaussianMax(8.0).event(40, 1, 4), 1e-5).epsilon
    )


def test_realized_answers_follow_the_seed():
    counts = votes(400)
    drawn = [Account(counts, CONFIDENT, 1e-5, seed=seed).answered() for seed in (0, 0, 1, 2, 3)]
    assert drawn[0] == drawn[1]
    assert len({one["realized"] for one in drawn}) > 1
    spread = math.sqrt(400) / 2  # at most, of a sum of 400 coins
    assert all(abs(one["realized"] - one["expected"]) < 5 * spread for one in drawn)
    everyone = Account(counts, GaussianMax(8.0), 1e-5).answered()
    assert everyone == {"expected": 400, "realized": 400}


def test_a_student_that_knows_nothing_is_the_default():
    counts = votes()
    uniform = np.full(counts.shape, 0.25)
    sure = np.tile([0.97, 0.01, 0.01, 0.01], (len(counts), 1))
    default, same, other = (
        data_dependent(counts, INTERACTIVE, 1e-5, student=student)
        for student in (None, uniform, sure)
    )
    assert default == same != other
    with pytest.raises(ConfigError, match=r"student must have shape \(12, 4\), got \(12, 3\)"):
        data_dependent(counts, INTERACTIVE, 1e-5, student=uniform[:, :3])


def test_many_classes_that_a_student_tells_apart_have_no_exact_price():
    counts = votes(2, 50, 300)
    student = np.random.default_rng(0).dirichlet(np.ones(300), 2)
    found = analyses.exact(counts, INTERACTIVE, 1, student)
    assert found.rdp is None
    assert "at most 100 classes" in found.reason


@by_name
def test_curves_end_at_the_total_and_never_fall(mechanism):
    account = Account(votes(30), mechanism, 1e-5)
    curves, prices = account.curves(), account.to_json()["epsilon"]["patient"]
    assert curves.queries[0] == 1
    assert curves.queries[-1] == 30
    assert sum(curves.consensus) == 30
    assert curves.guaranteed[-1] == prices["guaranteed"]
    for name in ("published", "exact"):
        curve = getattr(curves, name)
        if curve is None:
            assert prices["data_dependent"][name] is None
        else:
            assert curve[-1] == pytest.approx(prices["data_dependent"][name], rel=1e-12)
            assert (np.diff(curve) >= -1e-12).all()


def test_sanitized_readings_differ_and_need_a_mechanism_that_has_them():
    counts = votes(30, 20, 2)
    readings = {sanitized(counts, GaussianMax(8.0), 1e-5, OsEntropy()) for _ in range(8)}
    assert len(readings) > 1
    assert all(value >= 0 for value in readings)
    assert sanitized(counts, LaplaceMax(8.0), 1e-5, OsEntropy()) is None
    many = votes(30, 250, 10)
    confident = ConfidentMax(40.0, 200.0, 150.0)
    assert sanitized(many, confident, 1e-5, OsEntropy()) is None  # which were answered?
    assert sanitized(many, confident, 1e-5, OsEntropy(), np.ones(30, dtype=bool)) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"teachers_per_hospital": 51}, "at most the 50 teachers that voted, got 51"),
        ({"teachers_per_hospital": 0}, "teachers_per_hospital must be a whole number >= 1"),
        ({"delta": 1.0}, r"privacy.delta must be in \(0, 1\)"),
    ],
)
def test_bad_settings_are_refused_by_name(arguments, message):
    settings_ = {"delta": 1e-5, **arguments}
    with pytest.raises(ConfigError, match=message):
        Account(votes(), GaussianMax(8.0), **settings_)


def test_an_uncalibrated_mechanism_is_refused():
    with pytest.raises(ConfigError, match=r"mechanism\.noise_scale must be set"):
        Account(votes(), GaussianMax(), 1e-5).to_json()


@pytest.mark.parametrize("mechanism", [*NOISY_MAX, CONFIDENT], ids=lambda m: m.name)
@pytest.mark.parametrize("counts", [[[50]], [[1, 0]], [[50] + [0] * 999]])
def test_corners_have_prices(mechanism, counts):
    block = Account(np.array(counts), mechanism, 1e-5).to_json()
    exact = block["epsilon"]["patient"]["data_dependent"]["exact"]
    assert 0 <= exact < 10
    if len(counts[0]) == 1 and mechanism.name != "confident":
        assert exact == 0


@pytest.mark.data
def test_the_contract_of_fedpate_account(pate_votes):
    counts = validated(np.load(pate_votes))[:640]
    mechanism = ConfidentMax(40.0, 200.0, 150.0)
    block = Account(counts, mechanism, 1e-5, teachers_per_hospital=25).to_json()
    assert (block["queries"], block["teachers"], block["classes"]) == (640, 250, 10)
    assert block["answered"]["expected"] == pytest.approx(282.721, abs=1e-3)
    patient = block["epsilon"]["patient"]
    assert patient["guaranteed"] <= 2.15
    assert patient["guaranteed_bound"] == "argmax_only"
    assert patient["gaussian"] == pytest.approx(2.53, abs=5e-3)
    assert patient["data_dependent"]["published"] == pytest.approx(1.712, abs=5e-4)
    assert patient["data_dependent"]["published_classic"] == pytest.approx(1.999, abs=5e-4)
    assert patient["data_dependent"]["exact"] == pytest.approx(0.923, abs=5e-4)
    assert patient["sanitized"]["mean"] == pytest.approx(2.516, abs=5e-4)
    assert patient["sanitized"]["std"] == pytest.approx(0.385, abs=5e-4)
    assert patient["sanitized"]["corrected"]["mean"] == pytest.approx(2.573, abs=0.02)
    assert block["epsilon"]["hospital"]["data_dependent"]["exact"] is None
