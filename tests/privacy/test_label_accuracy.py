"""How often a noisy label is right: against the exact laws, and against real releases."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedpate.privacy import exact_laws
from fedpate.privacy.entropy import SeededEntropy
from fedpate.privacy.label_accuracy import right_probabilities
from fedpate.privacy.mechanisms import MECHANISMS
from fedpate.privacy.vote_model import VoteSample
from fedpate.records import Votes

LAWS = {
    "gnmax": exact_laws.GaussianLaw,
    "laplace": exact_laws.LaplaceLaw,
    "gumbel": exact_laws.GumbelLaw,
    "permute_and_flip": exact_laws.PermuteAndFlipLaw,
}
TOLERANCE = {"gnmax": 1e-5, "laplace": 1e-4, "gumbel": 1e-12, "permute_and_flip": 1e-9}


def right(mechanism: str, histogram, noise_scale: float) -> float:
    """Class 0 is the right one."""
    sample = VoteSample.of(np.array([histogram]), np.array([0]))
    (probability,) = right_probabilities(mechanism, sample, noise_scale)
    return float(probability)


@pytest.mark.parametrize("mechanism", LAWS)
@settings(max_examples=60)
@given(
    histogram=st.lists(st.integers(0, 60), min_size=2, max_size=30),
    log_scale=st.floats(-1.5, 5.0),
)
def test_it_is_what_the_exact_law_says(mechanism, histogram, log_scale):
    scale = math.exp(log_scale)
    law = np.exp(exact_laws.log_law(LAWS[mechanism](scale), np.array([histogram])))
    assert right(mechanism, histogram, scale) == pytest.approx(law[0, 0], abs=TOLERANCE[mechanism])


@pytest.mark.parametrize("mechanism", LAWS)
def test_a_thousand_classes_are_no_different(mechanism):
    histogram = [40, 30, 20, 5, 5, 5, *[1] * 45, *[0] * 949]
    law = np.exp(exact_laws.log_law(LAWS[mechanism](6.0), np.array([histogram])))
    assert right(mechanism, histogram, 6.0) == pytest.approx(law[0, 0], abs=1e-4)


@pytest.mark.parametrize("mechanism", LAWS)
@pytest.mark.parametrize("factor", [1.0, 0.8, 1.25])
def test_it_is_how_often_the_mechanism_is_right(mechanism, factor):
    histogram, scale, n = [30, 24, 12, 0], 10.0, 20_000
    votes = Votes(np.arange(n), np.tile(histogram, (n, 1)), sum(histogram))
    release = MECHANISMS[mechanism](scale).release(votes, SeededEntropy(5, mechanism))
    expected = right(mechanism, histogram, scale * factor)
    deviation = abs((release.labels == 0).mean() - expected)
    sigmas = deviation / math.sqrt(expected * (1 - expected) / n)
    assert (sigmas < 5.0) == (factor == 1.0)


@pytest.mark.parametrize("mechanism", LAWS)
def test_no_noise_gives_the_vote_and_endless_noise_gives_chance(mechanism):
    assert right(mechanism, [9, 7, 0, 0], 1e-3) == pytest.approx(1, abs=1e-9)
    assert right(mechanism, [7, 9, 0, 0], 1e-3) == pytest.approx(0, abs=1e-9)
    assert right(mechanism, [7, 7, 0, 0], 1e-3) == pytest.approx(0.5, abs=1e-4)
    assert right(mechanism, [9, 7, 0, 0], 1e6) == pytest.approx(0.25, abs=1e-4)


def test_confident_answers_with_the_same_noise_as_gnmax():
    assert right("confident", [9, 7, 3], 4.0) == right("gnmax", [9, 7, 3], 4.0)
