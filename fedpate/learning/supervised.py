"""Students that learn from the released labels alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from fedpate import _check, rng
from fedpate.data.preprocessing import Preprocessing
from fedpate.learning.kinds import check_sklearn
from fedpate.learning.pool_settings import check_shapes
from fedpate.learning.released import answered_records, is_constant
from fedpate.learning.schedule import Training
from fedpate.learning.teachers import Progress
from fedpate.records import LabelledData, QueryBatch, Release

if TYPE_CHECKING:
    from fedpate.learning.fitted import TorchTeacher
    from fedpate.learning.fitted_student import FittedStudent
    from fedpate.learning.nets import Net


@dataclass(frozen=True)
class TorchStudent:
    """Small networks trained on the released labels; their probabilities are averaged.

    Convolutions for images, dense layers only for tables.
    """

    name: ClassVar[str] = "torch"
    members: int = 5  # networks that differ in their initial weights and batch order
    channels: tuple[int, ...] = (16, 32)  # of each convolution, for images
    hidden: tuple[int, ...] = ()  # widths of the dense layers between convolutions and classes
    table_hidden: tuple[int, ...] = (64,)  # widths of the dense layers, for rows
    epochs: int = 60  # passes over the released images
    table_epochs: int = 6  # passes over the released rows: their wrong labels are soon learned too
    min_steps: int = 10
    max_steps: int = 3000
    batch_size: int = 50
    learning_rate: float = 0.01
    weight_decay: float = 0.1
    max_shift: float = 0.07  # share of its side by which a training image is moved at random
    max_turn: float = 15.0  # degrees by which it is turned
    max_zoom: float = 0.25  # logarithm of the largest factor by which each axis is scaled
    max_shear: float = 0.25  # share of its distance from the middle by which a row slides

    def __post_init__(self) -> None:
        check_shapes(self)
        for name in ("members", "table_epochs"):
            _check.at_least(1, **{f"student.{name}": getattr(self, name)})
        Training.of(self).check("student")

    def net(self, record_shape: tuple[int, ...], n_classes: int) -> "Net":
        """A cnn for images, an mlp for rows."""
        from fedpate.learning import nets

        if len(record_shape) == 1:
            return nets.mlp(record_shape, self.table_hidden, n_classes)
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
        from fedpate.learning import fitted_student

        answered = answered_records(pool, release, n_classes)
        if is_constant(answered):
            return fitted_student.ConstantStudent(int(answered.labels[0]), n_classes)
        seeds = [rng.stream_seed(seed, "student", member) for member in range(self.members)]
        networks = self.networks([answered] * self.members, preprocessing, seeds, device, progress)
        return fitted_student.NetStudent(networks)

    def networks(
        self,
        shards: Sequence[LabelledData],
        preprocessing: Preprocessing,
        seeds: Sequence[int],
        device: str,
        progress: Progress | None,
    ) -> "list[TorchTeacher]":
        """One network for each shard and seed."""
        from fedpate.learning import torch_teachers

        training = Training.of(self)
        if shards[0].features.ndim == 2:
            training = replace(training, epochs=self.table_epochs)
        found: dict[int, TorchTeacher] = {}

        def finished(index: int, network: "TorchTeacher") -> None:
            found[index] = network
            if progress is not None:
                progress(1)

        torch_teachers.fit_all(self.net, training, shards, preprocessing, seeds, device, finished)
        return [found[index] for index in range(len(shards))]


@dataclass(frozen=True)
class SklearnStudent:
    """A scikit-learn classifier from the teachers' closed list."""

    name: ClassVar[str] = "sklearn"
    model: str = "logistic_regression"
    regularization: float = 1.0  # 1 / C of logistic_regression and svc; more for wrong labels

    def __post_init__(self) -> None:
        check_sklearn("student", self.model, self.regularization)

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
            self.model, answered, preprocessing, own_seed, self.regularization
        )
        if progress is not None:
            progress(1)
        return student
