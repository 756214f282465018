"""Leave one patient out of a simulated federation, retrain, and count who changed their mind.

The patient guarantee rests on one patient's records being in one shard, hence in one teacher, and
on nothing else being fitted on private records. This takes one patient's records away, trains
every teacher again as a run does, and fails hard if more than one of them votes differently. It
can disprove the guarantee and never proves it (`fedpate.privacy.sensitivity`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedpate.data.federated import Federated
from fedpate.data.splits import first_of_each
from fedpate.errors import ConfigError
from fedpate.federation import overrides, simulated_teachers, site
from fedpate.federation.private_teachers import is_private
from fedpate.federation.settings import Run
from fedpate.federation.side import choose_queries
from fedpate.learning.fitted import FittedTeacher
from fedpate.learning.store import TeacherStore
from fedpate.learning.teachers import teacher_seed
from fedpate.privacy.vote_sensitivity import require_one_teacher_moved
from fedpate.records import LabelledData
from fedpate.rng import stream

Mask = npt.NDArray[np.bool_]
AddRecords = Callable[[int, int, LabelledData], LabelledData]


@dataclass(frozen=True)
class LeftOut:
    """What leaving one patient out did; the patient is not named."""

    teachers: int
    teachers_changed: int  # 0 or 1
    queries: int
    votes_changed: int


def leave_one_out(run: Run) -> LeftOut:
    """Leave out a patient drawn with the run's seed.

    Teachers come from the run's store; only those that see a difference are trained again.

    Raises:
      AuditFailed: more than one teacher changed.
      ConfigError: every shard holds one patient only.
    """
    side = site.coordinator_side(run, Path())
    data, simulation = side.truth, side.settings.simulation
    assert data is not None
    assert simulation is not None
    store = site.simulated_store(simulation)
    features = choose_queries(run, side.pool).features
    without = _without_a_patient(run, data)
    before, after = (
        np.stack([teacher.votes(features) for teacher in teachers], axis=1)
        for teachers in (train_all(run, data, store=store), train_all(run, data, without, store))
    )
    changed = require_one_teacher_moved(before, after)
    return LeftOut(
        teachers=before.shape[1],
        teachers_changed=0 if changed is None else 1,
        queries=len(features),
        votes_changed=int((before != after).sum()),
    )


def train_all(
    run: Run,
    data: Federated,
    keep: Mask | None = None,
    store: TeacherStore | None = None,
    add: AddRecords | None = None,
) -> list[FittedTeacher]:
    """The teachers of all hospitals, as the run trains them.

    Args:
      run: the settings.
      data: who holds what.
      keep: (n_records of the data set,) which of them are trained on; None is all.
      store: of teachers; None trains all of them.
      add: (hospital, shard, its records) -> the records to train on instead.
    """
    wanted = []
    for hospital in range(data.partition.n_hospitals):
        name = site.simulated_name(hospital)
        for index, rows in enumerate(data.partition.shards(hospital)):
            records = data.split.private_rows[rows]
            if is_private(overrides.teacher_of(run, name)[0]):
                records = records[np.sort(first_of_each(data.dataset.patients[records])[0])]
            shard = data.dataset.take(records if keep is None else records[keep[records]])
            own = shard
            if add is not None:
                own = add(hospital, index, shard)
            wanted.append((name, own, teacher_seed(run.seed, name, index)))
    return simulated_teachers.train(run, wanted, data.preprocessing(), store)


def _without_a_patient(run: Run, data: Federated) -> Mask:
    """All records but those of one patient who is not alone in a shard."""
    patients = data.dataset.patients
    candidates = [
        here
        for hospital in range(data.partition.n_hospitals)
        for rows in data.partition.shards(hospital)
        if len(here := np.unique(patients[data.split.private_rows[rows]])) > 1
    ]
    if not candidates:
        raise ConfigError(
            "audit.leave_one_out needs a teacher with two patients or more, "
            f"got teachers_per_hospital={run.teachers_per_hospital}"
        )
    patient = stream(run.seed, "leave one out").choice(np.concatenate(candidates))
    others: Mask = patients != patient
    return others
