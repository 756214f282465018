from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from contracts import CASES
from fedpate.errors import ConfigError
from fedpate.privacy.audit import (
    audit_mechanism,
    clopper_pearson,
    epsilon_lower_bound,
    worst_pairs,
)
from fedpate.privacy.events import Event
from fedpate.privacy.mechanism import Mechanism
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

SURE = 1 - 1e-8  # an honest mechanism fails once in 10^8 audits


@dataclass(frozen=True)
class Broken:
    """Charges for one mechanism and releases with another: the bug that an audit is for."""

    charged: Mechanism
    run: Mechanism

    @property
    def name(self) -> str:
        return self.charged.name

    @property
    def noise_scale(self) -> float | None:
        return self.charged.noise_scale

    def event(self, n_queries, votes_moved, n_classes) -> Event:
        return self.charged.event(n_queries, votes_moved, n_classes)

    def release(self, votes, entropy, student=None):
        return self.run.release(votes, entropy, student)

    def with_noise(self, noise_scale):
        raise NotImplementedError


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.mechanism.name)
def test_an_honest_mechanism_passes(case):
    audit = audit_mechanism(case.mechanism, 1e-5, 3, 20, 4000, OsEntropy(), SURE)
    assert audit.passed
    assert audit.lower_bound <= audit.claimed
    assert [found.delta for found in audit.findings] == [1e-5, 1e-3, 1e-2, 1e-1]
    claims = [found.claimed for found in audit.findings]
    assert claims == sorted(claims, reverse=True)
    assert (audit.chi_square is None) == (case.mechanism.name == "none")


@pytest.mark.parametrize(
    "honest", [GaussianMax(4.0), LaplaceMax(4.0), GumbelMax(4.0), PermuteAndFlip(4.0)],
    ids=lambda honest: honest.name,
)  # fmt: skip
def test_half_the_noise_is_caught_by_the_lower_bound_alone(honest):
    broken = Broken(honest, honest.with_noise(honest.noise_scale / 2))
    audit = audit_mechanism(broken, 1e-5, 2, 30, 15_000, OsEntropy())
    assert audit.chi_square is None  # it does not know this class
    assert max(found.lower_bound - found.claimed for found in audit.findings) > 0.1
    assert not audit.passed


def test_one_query_suffices_where_its_bound_is_attained():
    """Randomized response of one vote attains its epsilon, so the lower bound comes close to it."""
    honest = RandomizedResponse(0.5)
    audit = audit_mechanism(honest, 1e-5, 2, 1, 160_000, OsEntropy(), SURE, queries=1)
    assert (
        0.9 * audit.claimed < audit.lower_bound <= audit.claimed == pytest.approx(np.log(3), 1e-4)
    )
    broken = Broken(honest, RandomizedResponse(0.4))
    audit = audit_mechanism(broken, 1e-5, 2, 1, 40_000, OsEntropy(), SURE, queries=1)
    assert audit.lower_bound > audit.claimed


def test_a_quiet_threshold_is_caught():
    honest = ConfidentMax(1e3, 25.0, 10.0)  # nearly all of its price is the bit
    broken = Broken(honest, ConfidentMax(1e3, 25.0, 5.0))
    audit = audit_mechanism(broken, 1e-5, 2, 25, 10_000, OsEntropy(), queries=32)
    assert max(found.lower_bound - found.claimed for found in audit.findings) > 0.1


class Quiet(GaussianMax):
    """Draws 0.8 of the noise that it states."""

    def release(self, votes, entropy, student=None):
        return GaussianMax(0.8 * self.noise_scale).release(votes, entropy)


def test_the_sampler_test_catches_what_epsilon_would_not_show():
    audit = audit_mechanism(Quiet(10.0), 1e-5, 3, 50, 4000, OsEntropy(), SURE)
    assert all(found.lower_bound <= found.claimed for found in audit.findings)
    assert audit.chi_square < 1e-9
    assert not audit.passed


def test_no_noise_is_seen_to_be_no_privacy():
    audit = audit_mechanism(NoNoise(), 1e-5, 2, 11, 2000, OsEntropy(), SURE)
    assert audit.claimed == np.inf
    assert audit.lower_bound > 3
    assert audit.passed  # it claims nothing


@given(
    n_classes=st.integers(2, 12),
    n_teachers=st.integers(1, 400),
    scale=st.floats(0.1, 500),
    threshold=st.floats(-10, 500),
    interactive=st.booleans(),
)
def test_pairs_are_neighbouring_votes(n_classes, n_teachers, scale, threshold, interactive):
    mechanism = (
        InteractiveMax(scale, threshold, scale, 0.5)
        if interactive
        else ConfidentMax(scale, threshold, scale)
    )
    for _, votes, neighbour in worst_pairs(mechanism, n_classes, n_teachers):
        for histogram in (votes, neighbour):
            assert histogram.shape == (n_classes,)
            assert (histogram >= 0).all()
            assert histogram.sum() == n_teachers
        assert np.abs(votes - neighbour).sum() == 2


@given(st.integers(1, 500), st.data(), st.floats(1e-6, 0.2))
def test_clopper_pearson_is_the_exact_interval(trials, data, error):
    successes = data.draw(st.integers(0, trials))
    low, high = clopper_pearson(successes, trials, error)
    exact = stats.binomtest(successes, trials).proportion_ci(1 - 2 * error, method="exact")
    assert (low, high) == (pytest.approx(exact.low, abs=1e-9), pytest.approx(exact.high, abs=1e-9))


@pytest.mark.parametrize("delta", [1e-6, 0.05])
def test_the_lower_bound_holds_as_often_as_it_says(delta):
    """Exact (epsilon, delta)-DP: 95 % bounds of 2,000 audits fail at most as often as promised."""
    epsilon, rarely = 1.0, 0.1
    often = np.exp(epsilon) * rarely + delta
    rng = np.random.default_rng(5)
    hits = rng.binomial(1000, [often, rarely], size=(2000, 2))
    bounds = np.array([epsilon_lower_bound(a, b, 1000, delta, 0.05) for a, b in hits.tolist()])
    failures = int((bounds > epsilon).sum())
    assert stats.binomtest(failures, 2000, 0.05, alternative="greater").pvalue > 1e-6
    assert bounds.mean() > 0.6  # and they are worth something


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"delta": 0.0}, r"privacy\.delta must be in \(0, 1\), got 0\.0"),
        ({"n_classes": 1}, "classes must be a whole number >= 2, got 1"),
        ({"n_teachers": 0}, "teachers must be a whole number >= 1, got 0"),
        ({"trials": 5}, "trials must be a whole number >= 20, got 5"),
        ({"confidence": 1.0}, r"confidence must be in \(0, 1\), got 1\.0"),
        ({"mechanism": GaussianMax()}, r"mechanism\.noise_scale must be set"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(change, message):
    settings = {"mechanism": GaussianMax(4.0), "delta": 1e-5, "n_classes": 2, "n_teachers": 10,
                "trials": 100, "entropy": OsEntropy()}  # fmt: skip
    with pytest.raises(ConfigError, match=message):
        audit_mechanism(**(settings | change))
