import dataclasses

import numpy as np
import pytest

from fedpate.data.dealing import Partition
from fedpate.data.partition import Iid
from fedpate.data.sklearn_sources import BreastCancer
from fedpate.errors import AuditFailed, ConfigError
from fedpate.federation.leave_one_out import leave_one_out
from fedpate.federation.settings import Run
from fedpate.learning.students import SklearnStudent
from fedpate.learning.teachers import SklearnTeacher
from fedpate.privacy.mechanisms import NoNoise


@pytest.fixture
def run(tmp_path) -> Run:
    return Run(
        data=BreastCancer(),
        partition=Iid(),
        teacher=SklearnTeacher("knn"),
        mechanism=NoNoise(),
        student=SklearnStudent(),
        hospitals=3,
        teachers_per_hospital=4,
        queries=100,
        store=str(tmp_path),
    )


@pytest.mark.parametrize("seed", range(4))
def test_at_most_one_teacher_changes_its_mind(run, seed):
    left = leave_one_out(dataclasses.replace(run, seed=seed))
    assert left.teachers == 12
    assert left.teachers_changed <= 1
    assert left.votes_changed <= left.queries == 100
    assert (left.votes_changed > 0) == (left.teachers_changed == 1)


def test_a_patient_in_two_shards_is_found(run, monkeypatch):
    shards = Partition.shards

    def leaky(self, hospital):
        """Every shard of a hospital also holds the records of its neighbour."""
        own = shards(self, hospital)
        return [np.concatenate(pair) for pair in zip(own, own[1:] + own[:1], strict=True)]

    monkeypatch.setattr(Partition, "shards", leaky)

    def any_seed():
        for seed in range(10):
            leave_one_out(dataclasses.replace(run, seed=seed))

    with pytest.raises(AuditFailed, match=r"must change at most 1 teacher, it changed [2-9]"):
        any_seed()


def test_teachers_of_one_patient_each_cannot_lose_one(run):
    alone = dataclasses.replace(run, hospitals=1, teachers_per_hospital=341)
    with pytest.raises(ConfigError, match="needs a teacher with two patients or more"):
        leave_one_out(alone)
