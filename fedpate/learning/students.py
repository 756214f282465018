"""What the coordinator may train on a release: the closed list `STUDENTS`.

A student sees released labels and the coordinator's own pool, never a vote and never the test set.
A registered class is the schema of the group `student`: its fields are the settings that a user
types. Importing this module is cheap: torch and scikit-learn are imported when something trains.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, runtime_checkable

from fedpate import _check, rng
from fedpate.data.preprocessing import Preprocessing
from fedpate.learning.released import answered_records, is_constant
from fedpate.learning.schedule import Training
from fedpate.learning.semi_supervised import FixMatchStudent
from fedpate.learning.teachers import (
    SKLEARN_MODELS,
    Progress,
    check_channels,
    check_widths,
)
from fedpate.records import QueryBatch, Release

if TYPE_CHECKING:
    from fedpate.learning.fitted import TorchTeacher
    from fedpate.learning.fitted_student import FittedStudent
    from fedpate.learning.nets import Net


@runtime_checkable
class Student(Protocol):
    """Settings of one kind of student."""

    name: ClassVar[str]

    def fit(
        self,
        pool: QueryBatch,
        release: Release,
        n_classes: int,
        preprocessing: Preprocessing,
        seed: int,
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> "FittedStudent":
        """Learn from a release.

        Args:
          pool: the coordinator's unlabeled records; holds every released query.
          release: the labels; queries without an answer are left out.
          n_classes: number of classes of the federation.
          preprocessing: fitted on the pool.
          seed: the run's; the student takes its own stream of it.
          device: a torch device; scikit-learn ignores it.
          progress: called with the number of networks trained since the last call.

        Raises:
          NothingReleased: no query was answered.
          PredictionError: a released query that the pool does not have.
        """


@dataclass(frozen=True)
class TorchStudent:
    """Small networks trained on the released labels; their probabilities are averaged.

    Convolutions for images, dense layers only for tables.
    """

    name: ClassVar[str] = "torch"
    members: int = 5  # networks that differ in their initial weights and batch order
    channels: tuple[int, ...] = (16, 64)  # of each convolution, for images
    hidden: tuple[int, ...] = (64,)  # widths of the dense layers before the classes
    epochs: int = 80  # passes over the released images
    table_epochs: int = 10  # passes over the released rows: their wrong labels are soon learned too
    min_steps: int = 20
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
        _check.at_least(1, **{"student.members": self.members})
        _check.at_least(1, **{"student.table_epochs": self.table_epochs})
        check_channels("student.channels", self.channels)
        check_widths("student.hidden", self.hidden)
        Training.of(self).check("student")

    def net(self, record_shape: tuple[int, ...], n_classes: int) -> "Net":
        """A cnn for images, an mlp for rows."""
        from fedpate.learning import nets

        if len(record_shape) == 1:
            return nets.mlp(record_shape, self.hidden, n_classes)
        return nets.cnn(record_shape, self.channels, self.hidden, n_classes)

    def fit(
        self,
        pool: QueryBatch,
        release: Release,
        n_classes: int,
        preprocessing: Preprocessing,
        seed: int,
        *,
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> "FittedStudent":
        """Supervised training of each member."""
        from fedpate.learning import fitted_student, torch_teachers

        answered = answered_records(pool, release, n_classes)
        if is_constant(answered):
            return fitted_student.ConstantStudent(int(answered.labels[0]), n_classes)
        training = Training.of(self)
        if answered.features.ndim == 2:
            training = replace(training, epochs=self.table_epochs)
        members: dict[int, TorchTeacher] = {}

        def finished(index: int, member: "TorchTeacher") -> None:
            members[index] = member
            if progress is not None:
                progress(1)

        torch_teachers.fit_all(
            self.net,
            training,
            [answered] * self.members,
            preprocessing,
            [rng.stream_seed(seed, "student", member) for member in range(self.members)],
            device,
            finished,
        )
        return fitted_student.NetStudent([members[index] for index in range(self.members)])


@dataclass(frozen=True)
class SklearnStudent:
    """A scikit-learn classifier from the teachers' closed list."""

    name: ClassVar[str] = "sklearn"
    model: str = "logistic_regression"

    def __post_init__(self) -> None:
        _check.one_of(SKLEARN_MODELS, **{"student.model": self.model})

    def fit(
        self,
        pool: QueryBatch,
        release: Release,
        n_classes: int,
        preprocessing: Preprocessing,
        seed: int,
        *,
        device: str = "cpu",  # noqa: ARG002 - scikit-learn runs on the CPU
        progress: Progress | None = None,
    ) -> "FittedStudent":
        """Fit on the answered queries."""
        from fedpate.learning import fitted_student

        answered = answered_records(pool, release, n_classes)
        if is_constant(answered):
            return fitted_student.ConstantStudent(int(answered.labels[0]), n_classes)
        own_seed = rng.stream_seed(seed, "student")
        student = fitted_student.ClassifierStudent.fit(
            self.model, answered, preprocessing, own_seed
        )
        if progress is not None:
            progress(1)
        return student


STUDENTS: dict[str, type[Any]] = {
    cls.name: cls for cls in (TorchStudent, FixMatchStudent, SklearnStudent)
}
