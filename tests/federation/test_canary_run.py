import dataclasses

import numpy as np
import pytest

from fedpate.data.partition import Iid
from fedpate.data.sklearn_sources import Digits
from fedpate.errors import ConfigError
from fedpate.federation.canary_run import audit_run
from fedpate.federation.settings import Run
from fedpate.learning.students import SklearnStudent
from fedpate.learning.teachers import SklearnTeacher
from fedpate.privacy.mechanisms import GaussianMax, NoNoise
from fedpate.privacy.noise import SeededEntropy

ENTROPY = SeededEntropy(0, "canary run")


@pytest.fixture
def run() -> Run:
    return Run(
        data=Digits(),
        partition=Iid(),
        teacher=SklearnTeacher("random_forest"),
        mechanism=NoNoise(),
        student=SklearnStudent(),
        hospitals=1,
        teachers_per_hospital=1,
        queries=60,
    )


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


def test_one_teacher_without_noise_gives_its_canaries_away(run):
    found = audit_run(run, 60, rng(), ENTROPY)
    assert found.canaries.lower_bound > 1
    assert found.claimed == float("inf")
    assert found.passed


def test_the_same_attack_sees_nothing_through_the_noise_that_is_paid_for(run):
    noisy = dataclasses.replace(
        run, mechanism=GaussianMax(20.0), hospitals=2, teachers_per_hospital=10
    )
    found = audit_run(noisy, 60, rng(), ENTROPY)
    assert found.canaries.lower_bound <= found.claimed < 5
    assert found.passed


def test_a_claim_below_the_bound_is_refuted(run):
    found = audit_run(run, 60, rng(), ENTROPY)
    assert not dataclasses.replace(found, claimed=0.5).passed


@pytest.mark.parametrize(
    ("change", "canaries", "message"),
    [
        ({}, 7, "canaries must be a whole number >= 8, got 7"),
        ({}, 61, "canaries must be at most queries=60, got 61"),
    ],
)
def test_what_cannot_be_audited_is_refused(run, change, canaries, message):
    with pytest.raises(ConfigError, match=message):
        audit_run(dataclasses.replace(run, **change), canaries, rng(), ENTROPY)
