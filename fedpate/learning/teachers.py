"""What a hospital may train: the closed list `TEACHERS`, and `train_teachers`.

A registered class is the schema of the group `teacher`: its fields are the settings that a user
types (`kinds`, `other_kinds`). Importing this module is cheap: what trains is imported then.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fedpate import rng
from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import DataError
from fedpate.learning.kinds import (
    SKLEARN_MODELS,
    Cnn,
    Mlp,
    Resnet18,
    SklearnTeacher,
    Teacher,
    check_channels,
    check_widths,
)
from fedpate.learning.other_kinds import Command, Keras, Lightgbm, Onnx, Xgboost
from fedpate.learning.private_kinds import DpSgd
from fedpate.privacy.entropy import Entropy, OsEntropy, SeededEntropy
from fedpate.records import LabelledData

if TYPE_CHECKING:
    from fedpate.learning.fitted import FittedTeacher
    from fedpate.learning.store import TeacherStore

__all__ = [
    "SKLEARN_MODELS",
    "TEACHERS",
    "Cnn",
    "Command",
    "DpSgd",
    "Keras",
    "Lightgbm",
    "Mlp",
    "Onnx",
    "Resnet18",
    "SklearnTeacher",
    "Teacher",
    "Xgboost",
    "check_channels",
    "check_widths",
    "teacher_seed",
    "train_teachers",
]

Progress = Callable[[int], None]  # called with the number of teachers done since the last call

TEACHERS: dict[str, type[Any]] = {
    cls.name: cls
    for cls in (
        Mlp,
        Cnn,
        Resnet18,
        SklearnTeacher,
        Xgboost,
        Lightgbm,
        Keras,
        DpSgd,
        Command,
        Onnx,
    )
}


def teacher_seed(seed: int, hospital: int | str, shard: int) -> int:
    """Where one teacher's weights and batch order come from, in every engine and grouping."""
    return rng.stream_seed(seed, "teacher", hospital, shard)


def train_teachers(
    teacher: Teacher,
    shards: Sequence[LabelledData],
    preprocessing: Preprocessing,
    seeds: Sequence[int],
    *,
    device: str = "cpu",
    store: "TeacherStore | None" = None,
    progress: Progress | None = None,
    noise_seed: int | None = None,
) -> "list[FittedTeacher]":
    """Train one teacher per shard, or take it from the store.

    A shard with one class gives a `ConstantTeacher`: nothing else can be learned from it.

    Args:
      teacher: settings, an instance of a class in `TEACHERS`.
      shards: the records of each teacher, at least one each; all with the same `n_classes`.
      preprocessing: fitted on public records; every teacher applies it to what it is asked.
      seeds: one per shard, from `teacher_seed`. The same seed and shard give the same teacher
        whatever else is trained beside it.
      device: a torch device; scikit-learn ignores it.
      store: where teachers are looked up, and kept as soon as each is trained.
      noise_seed: research only: seeds the noise of private teachers, which comes from the operating
        system otherwise; other kinds have none.
      progress: called with the number of teachers done since the last call, perhaps in a thread.

    Returns:
      The fitted teachers in the order of `shards`.

    Raises:
      ConfigError: the teacher does not fit the data, such as a cnn on tables.
      DataError: a shard without records.
    """
    from fedpate.learning.fitted import ConstantTeacher

    if any(len(shard) == 0 for shard in shards):
        raise DataError("every teacher needs at least one record, a shard has none")
    keys = [
        store.key(teacher, shard, preprocessing, seed, noise_seed) if store else ""
        for shard, seed in zip(shards, seeds, strict=True)
    ]
    found: dict[int, FittedTeacher] = {}

    def keep(place: int, fitted: "FittedTeacher", *, new: bool = True) -> None:
        if store is not None and new:
            store.put(keys[place], fitted)
        found[place] = fitted
        if progress is not None:
            progress(1)

    private = isinstance(teacher, DpSgd)  # that a shard has one class would not be private
    to_train = []
    for place, shard in enumerate(shards):
        stored = store.get(keys[place]) if store else None
        if stored is not None:
            keep(place, stored, new=False)
        elif not private and len(np.unique(shard.labels)) == 1:
            keep(place, ConstantTeacher(int(shard.labels[0]), shard.n_classes))
        else:
            to_train.append(place)
    fit_all = teacher.fit_all
    if isinstance(teacher, DpSgd):
        fit_all = partial(teacher.fit_all, noise=partial(_noise, noise_seed))
    fit_all(
        [shards[place] for place in to_train],
        preprocessing,
        [seeds[place] for place in to_train],
        device,
        lambda index, fitted: keep(to_train[index], fitted),
    )
    return [found[place] for place in range(len(shards))]


def _noise(noise_seed: int | None, seed: int) -> Entropy:
    """Where one private teacher's coins and noise come from."""
    return OsEntropy() if noise_seed is None else SeededEntropy(noise_seed, "teacher", seed)
