"""What a hospital may train: the closed list `TEACHERS`, and `train_teachers`.

A registered class is the schema of the group `teacher`: its fields are the settings that a user
types. Importing this module is cheap: torch and scikit-learn are imported when something trains.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from fedpate import _check, rng
from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import ConfigError, DataError
from fedpate.learning.schedule import Training
from fedpate.records import LabelledData

if TYPE_CHECKING:
    from fedpate.learning.fitted import FittedTeacher
    from fedpate.learning.nets import Net
    from fedpate.learning.store import TeacherStore

    Finished = Callable[[int, FittedTeacher], None]

Progress = Callable[[int], None]  # called with the number of teachers done since the last call

SKLEARN_MODELS = (
    "gaussian_nb",
    "hist_gradient_boosting",
    "knn",
    "logistic_regression",
    "random_forest",
    "svc",
)


@runtime_checkable
class Teacher(Protocol):
    """Settings of one kind of teacher: a frozen dataclass."""

    name: ClassVar[str]
    library: ClassVar[str]  # the distribution that trains it; its version is part of a store's key

    def fit_all(
        self,
        shards: Sequence[LabelledData],
        preprocessing: Preprocessing,
        seeds: Sequence[int],
        device: str,
        finished: "Finished",
    ) -> None:
        """One teacher per shard of two classes or more; its randomness is its seed's alone.

        `finished` gets every teacher with its shard's place in `shards`, as soon as there is one,
        and perhaps in another thread.
        """


def _fit_torch(
    teacher: "Mlp | Cnn",
    shards: Sequence[LabelledData],
    preprocessing: Preprocessing,
    seeds: Sequence[int],
    device: str,
    finished: "Finished",
) -> None:
    from fedpate.learning import torch_teachers

    torch_teachers.fit_all(
        teacher.net, Training.of(teacher), shards, preprocessing, seeds, device, finished
    )


@dataclass(frozen=True)
class Mlp:
    """A small fully connected network; for tables, and for images taken as rows."""

    name: ClassVar[str] = "mlp"
    library: ClassVar[str] = "torch"
    hidden: tuple[int, ...] = (64,)  # widths of the hidden layers; empty: logistic regression
    epochs: int = 30
    min_steps: int = 200  # a shard of ten records still trains for so many batches
    max_steps: int = 3000  # and a pooled data set for no more than so many
    batch_size: int = 32
    learning_rate: float = 0.01
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        check_widths("teacher.hidden", self.hidden)
        Training.of(self).check("teacher")

    def net(self, record_shape: tuple[int, ...], n_classes: int) -> "Net":
        """The architecture for preprocessed records of this shape."""
        from fedpate.learning import nets

        return nets.mlp(record_shape, self.hidden, n_classes)

    fit_all = _fit_torch


@dataclass(frozen=True)
class Cnn:
    """A small convolutional network whose size follows the image's."""

    name: ClassVar[str] = "cnn"
    library: ClassVar[str] = "torch"
    channels: tuple[int, ...] = (16, 64)  # of each convolution; each halves the image
    hidden: tuple[int, ...] = ()  # widths of the dense layers before the classes
    epochs: int = 100
    min_steps: int = 300
    max_steps: int = 3000
    batch_size: int = 32
    learning_rate: float = 0.006
    weight_decay: float = 0.1
    max_shift: float = 0.07  # share of its side by which a training image is moved at random
    max_turn: float = 15.0  # degrees by which it is turned
    max_zoom: float = 0.25  # logarithm of the largest factor by which each axis is scaled
    max_shear: float = 0.25  # share of its distance from the middle by which a row slides

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        object.__setattr__(self, "hidden", tuple(self.hidden))
        check_channels("teacher.channels", self.channels)
        check_widths("teacher.hidden", self.hidden)
        Training.of(self).check("teacher")

    def net(self, record_shape: tuple[int, ...], n_classes: int) -> "Net":
        """The architecture for images of this shape; `ConfigError` for tables."""
        from fedpate.learning import nets

        return nets.cnn(record_shape, self.channels, self.hidden, n_classes)

    fit_all = _fit_torch


@dataclass(frozen=True)
class SklearnTeacher:
    """A scikit-learn classifier from a closed list."""

    name: ClassVar[str] = "sklearn"
    library: ClassVar[str] = "scikit-learn"
    model: str = "logistic_regression"

    def __post_init__(self) -> None:
        _check.one_of(SKLEARN_MODELS, **{"teacher.model": self.model})

    def fit_all(
        self,
        shards: Sequence[LabelledData],
        preprocessing: Preprocessing,
        seeds: Sequence[int],
        device: str,  # noqa: ARG002 - scikit-learn runs on the CPU
        finished: "Finished",
    ) -> None:
        """One shard after the other."""
        from fedpate.learning import sklearn_teachers

        sklearn_teachers.fit_all(self.model, shards, preprocessing, seeds, finished)


TEACHERS: dict[str, type[Any]] = {cls.name: cls for cls in (Mlp, Cnn, SklearnTeacher)}


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
        store.key(teacher, shard, preprocessing, seed) if store else ""
        for shard, seed in zip(shards, seeds, strict=True)
    ]
    found: dict[int, FittedTeacher] = {}

    def keep(place: int, fitted: "FittedTeacher", *, new: bool = True) -> None:
        if store is not None and new:
            store.put(keys[place], fitted)
        found[place] = fitted
        if progress is not None:
            progress(1)

    to_train = []
    for place, shard in enumerate(shards):
        stored = store.get(keys[place]) if store else None
        if stored is not None:
            keep(place, stored, new=False)
        elif len(np.unique(shard.labels)) == 1:
            keep(place, ConstantTeacher(int(shard.labels[0]), shard.n_classes))
        else:
            to_train.append(place)
    teacher.fit_all(
        [shards[place] for place in to_train],
        preprocessing,
        [seeds[place] for place in to_train],
        device,
        lambda index, fitted: keep(to_train[index], fitted),
    )
    return [found[place] for place in range(len(shards))]


def check_widths(name: str, widths: Sequence[int]) -> None:
    """Every width is a whole number >= 1; `ConfigError` names the setting."""
    for width in widths:
        _check.at_least(1, **{name: width})


def check_channels(name: str, channels: Sequence[int]) -> None:
    """At least one convolution; `ConfigError` names the setting."""
    check_widths(name, channels)
    if not channels:
        raise ConfigError(f"{name} must name at least one convolution, got none")
