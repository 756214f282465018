"""The teachers of simulated hospitals, trained here: for audits and baselines, never for a run."""

from collections.abc import Sequence
from itertools import groupby

from fedpate.data.preprocessing import Preprocessing
from fedpate.federation import overrides
from fedpate.federation.settings import Run
from fedpate.learning.command_teachers import CommandTeacher
from fedpate.learning.fitted import FittedTeacher
from fedpate.learning.own_models import onnx_teachers
from fedpate.learning.store import TeacherStore
from fedpate.learning.teachers import Onnx, Progress, train_teachers
from fedpate.records import LabelledData

Wanted = tuple[str, LabelledData, int]  # hospital, records, seed


def train(
    run: Run,
    wanted: Sequence[Wanted],
    preprocessing: Preprocessing,
    store: TeacherStore | None = None,
    progress: Progress | None = None,
) -> list[FittedTeacher]:
    """One teacher per entry, of the kind that its hospital trains.

    Neighbours of one kind are trained together. A hospital that has a model already (teacher=onnx)
    votes with it whatever the records are, also when it has several: with the first.
    """
    found: list[FittedTeacher] = []
    for (teacher, models), group in groupby(wanted, lambda one: overrides.teacher_of(run, one[0])):
        hospitals, shards, seeds = zip(*group, strict=True)
        if teacher.name == Onnx.name:
            n_classes = shards[0].n_classes
            (own, *_) = onnx_teachers(models.onnx_files()[:1], n_classes, at_most=1)
            found += [own] * len(hospitals)
            continue
        trained = train_teachers(
            teacher,
            shards,
            preprocessing,
            seeds,
            device=run.device,
            store=store,
            progress=progress,
            noise_seed=run.noise_seed,
        )
        found += [
            one.by(models.program()) if isinstance(one, CommandTeacher) else one for one in trained
        ]
    return found
