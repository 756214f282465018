"""The price of DP-SGD under replace-one, against closed forms, Opacus and exact small cases."""

import math
import warnings

import numpy as np
import pytest
from opacus.accountants import RDPAccountant
from scipy import integrate, stats

from fedpate.errors import ConfigError
from fedpate.privacy import dpsgd, gaussian


def test_without_sampling_it_is_the_gaussian_of_sensitivity_two():
    for sigma, steps, epsilon in [(10.0, 50, 3.0), (4.0, 1, 0.7), (30.0, 400, 8.0)]:
        exact = gaussian.delta(2 * math.sqrt(steps) / sigma, epsilon)
        assert dpsgd.delta(sigma, 1.0, steps, epsilon) == pytest.approx(exact, rel=1e-6, abs=1e-15)
        assert dpsgd._by_group(sigma, 1.0, steps, epsilon) >= exact  # valid, and looser


def hockey_stick(p, q, epsilon: float) -> float:
    """int max(0, p - e^epsilon q) of two densities."""

    def excess(x):
        return max(0.0, p(x) - math.exp(epsilon) * q(x))

    return integrate.quad(excess, -60, 60, limit=800, points=[-2, -1, 0, 1, 2])[0]


@pytest.mark.parametrize("q", [0.05, 0.3, 0.9])
@pytest.mark.parametrize("sigma", [0.8, 2.0])
def test_one_step_is_never_priced_below_the_worst_replacement(q, sigma):
    """The gradients +C and -C replace each other: no two records are farther apart."""

    def mixture(mean):
        return lambda x: (1 - q) * stats.norm.pdf(x, 0, sigma) + q * stats.norm.pdf(x, mean, sigma)

    for epsilon in (0.0, 0.2, 1.0, 2.0):
        exact = hockey_stick(mixture(1.0), mixture(-1.0), epsilon)
        assert dpsgd.delta(sigma, q, 1, epsilon) >= exact - 1e-9
        assert dpsgd._unamplified(sigma, q, 1, epsilon) >= exact - 1e-9
        assert dpsgd._by_group(sigma, q, 1, epsilon) >= exact - 1e-9


def test_several_steps_are_never_priced_below_a_sampled_attack():
    """T = 2: the sum of both noisy steps is a statistic, so its distance is a lower bound."""
    q, sigma, epsilon = 0.3, 1.5, 0.5
    weights = stats.binom.pmf(np.arange(3), 2, q)

    def law(mean):
        def density(x):
            scale = sigma * math.sqrt(2)
            return sum(w * stats.norm.pdf(x, k * mean, scale) for k, w in enumerate(weights))

        return density

    assert dpsgd.delta(sigma, q, 2, epsilon) >= hockey_stick(law(1.0), law(-1.0), epsilon)


@pytest.mark.parametrize("epsilon", [1000.0, 1e9])
def test_a_very_large_epsilon_overflows_nothing(epsilon):
    assert 0 <= dpsgd._by_group(1.0, 0.25, 20, epsilon) < 1e-6
    assert dpsgd.noise_multiplier(epsilon, 1e-5, 0.25, 2) < 0.5


def test_removal_and_addition_agree_with_opacus():
    sigma, q, steps, delta = 1.1, 0.02, 300, 1e-5
    accountant = RDPAccountant()
    accountant.history = [(sigma, q, steps)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        theirs = accountant.get_epsilon(delta)
    ours = dpsgd._removal_or_addition(sigma, q, steps).get_epsilon_for_delta(delta)
    assert 0.7 * theirs < ours <= theirs  # Rényi bounds are looser


@pytest.mark.parametrize(
    ("epsilon", "q", "steps"), [(1.0, 0.05, 100), (4.0, 1.0, 30), (50.0, 0.5, 20)]
)
def test_the_noise_meets_the_target_and_hardly_more(epsilon, q, steps):
    sigma = dpsgd.noise_multiplier(epsilon, 1e-5, q, steps)
    assert dpsgd.delta(sigma, q, steps, epsilon) <= 1e-5
    assert dpsgd.delta(sigma * 0.99, q, steps, epsilon) > 1e-5


def test_replacing_costs_more_than_removing():
    sigma = dpsgd.noise_multiplier(2.0, 1e-5, 0.05, 100)
    removed = dpsgd._removal_or_addition(sigma, 0.05, 100).get_epsilon_for_delta(1e-5)
    assert 0.8 < removed < 1.2  # about half


def test_targets_are_checked_by_name():
    with pytest.raises(ConfigError, match=r"teacher\.target_epsilon must be finite and > 0"):
        dpsgd.noise_multiplier(0.0, 1e-5, 0.5, 10)
    with pytest.raises(ConfigError, match=r"teacher.delta must be in \(0, 1\)"):
        dpsgd.noise_multiplier(1.0, 1.0, 0.5, 10)
