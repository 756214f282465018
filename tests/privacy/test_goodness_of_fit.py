import numpy as np
import pytest
from scipy import stats

import mechanism_laws as laws
from contracts import CASES
from fedpate.privacy.goodness_of_fit import (
    chi_square_p_value,
    exact_law,
    lead_of,
    near_threshold,
    outcome_counts,
    sampler_p_value,
)
from fedpate.privacy.mechanisms import (
    ConfidentMax,
    InteractiveMax,
    NoNoise,
    RandomizedResponse,
)
from fedpate.privacy.noise import OsEntropy

NOISY = [case for case in CASES if case.noisy and case.mechanism.name != "interactive"]


@pytest.mark.parametrize("case", NOISY, ids=lambda case: case.mechanism.name)
def test_exact_laws_agree_with_the_tests_own(case):
    counts = (1, 0, 0) if isinstance(case.mechanism, RandomizedResponse) else (7, 2, 1)
    law = exact_law(case.mechanism, np.array(counts))
    assert law == pytest.approx(case.law(counts, 1.0), abs=1e-9)


@pytest.mark.parametrize("confidence", [0.2, 0.6])
def test_the_interactive_law_is_that_of_a_student_that_knows_nothing(confidence):
    mechanism = InteractiveMax(4.0, 3.0, 6.0, confidence)
    law = exact_law(mechanism, np.array([7, 2, 1]))
    oracle = laws.interactive((7, 2, 1), 4.0, 3.0, 6.0, confidence, (1 / 3, 1 / 3, 1 / 3))
    assert law == pytest.approx(oracle, abs=1e-6)


def test_mechanisms_without_a_known_law_say_so():
    assert exact_law(NoNoise(), np.array([3, 2])) is None
    assert exact_law(RandomizedResponse(0.5), np.array([3, 2])) is None
    assert sampler_p_value(NoNoise(), 2, 5, 100, OsEntropy()) is None


def test_outcomes_are_counted_over_several_blocks(monkeypatch):
    monkeypatch.setattr("fedpate.privacy.goodness_of_fit.BLOCK_QUERIES", 7)
    observed = outcome_counts(NoNoise(), np.array([3, 2]), 30, OsEntropy())
    assert observed.tolist() == [0, 30, 0]


def test_p_values_are_uniform_under_the_law_and_small_beside_it():
    rng = np.random.default_rng(3)
    law = np.array([0.0, 0.5, 0.3, 0.198, 0.0019, 0.0001])
    p_values = [chi_square_p_value(rng.multinomial(4000, law), law) for _ in range(500)]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-6
    shifted = law * [0, 0.9, 1.1, 1, 1, 1]
    assert chi_square_p_value(rng.multinomial(4000, shifted / shifted.sum()), law) < 1e-6
    # An outcome that cannot happen is not merged away.
    assert chi_square_p_value(np.array([400, 600]), np.array([0.0, 1.0])) == 0.0
    assert chi_square_p_value(np.array([0, 1000]), np.array([0.0, 1.0])) == 1.0


def test_histograms_lie_where_they_are_said_to():
    assert lead_of(3, 10, 4).tolist() == [7, 3, 0]
    assert lead_of(2, 10, 3).tolist() == [7, 3]
    assert lead_of(2, 3, 99).tolist() == [3, 0]
    confident = ConfidentMax(40.0, 200.0, 20.0)
    assert near_threshold(confident, 3, 250, 0.0).tolist() == [200, 25, 25]
    assert near_threshold(confident, 3, 250, 1.0).tolist() == [220, 15, 15]
    assert near_threshold(confident, 3, 100, 1.0).tolist() == [100, 0, 0]
    assert near_threshold(InteractiveMax(40.0, 25.0, 1.0, 0.9), 4, 100, 0.0).tolist() == [
        50, 17, 17, 16,
    ]  # fmt: skip
