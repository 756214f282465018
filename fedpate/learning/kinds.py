"""The settings of every kind of teacher: a class is the schema of an option of the group `teacher`.

Importing this module is cheap: torch, scikit-learn and the optional libraries are imported when
something trains. A field is what a coordinator may choose; the program of a `command` teacher and
the model of an `onnx` teacher are the hospital's own (`fedpate.learning.own_models`) and are no
fields.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from fedpate import _check
from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import ConfigError
from fedpate.learning.schedule import Training
from fedpate.records import LabelledData

if TYPE_CHECKING:
    from fedpate.learning.fitted import FittedTeacher
    from fedpate.learning.nets import Net

    Finished = Callable[[int, FittedTeacher], None]

SKLEARN_MODELS = (
    "gaussian_nb",
    "hist_gradient_boosting",
    "knn",
    "logistic_regression",
    "random_forest",
    "svc",
)
REGULARIZED = ("logistic_regression", "svc")  # those that `regularization` is about
UNWEIGHTED = ("knn",)  # those whose records cannot be weighted


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
    precision: str = "float32"  # or bfloat16, for a GPU

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
    precision: str = "float32"  # or bfloat16, for a GPU

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
class Resnet18:
    """torchvision's ResNet-18 from random weights, its first layer fitted to the image's channels.

    Group normalization takes the place of batch normalization: a teacher sees few records, and a
    prediction must not depend on which others are asked beside it. Too large to be stacked: each
    is trained by the plain loop.
    """

    name: ClassVar[str] = "resnet18"
    library: ClassVar[str] = "torchvision"
    epochs: int = 30
    min_steps: int = 100
    max_steps: int = 3000
    batch_size: int = 32
    learning_rate: float = 0.001
    weight_decay: float = 0.05
    max_shift: float = 0.07  # as for the cnn
    max_turn: float = 15.0
    max_zoom: float = 0.25
    max_shear: float = 0.25
    precision: str = "float32"  # or bfloat16, for a GPU

    def __post_init__(self) -> None:
        Training.of(self).check("teacher")

    def fit_all(
        self,
        shards: Sequence[LabelledData],
        preprocessing: Preprocessing,
        seeds: Sequence[int],
        device: str,
        finished: "Finished",
    ) -> None:
        """One network after the other; `ConfigError` for tables."""
        from fedpate.learning import module_teachers

        training = Training.of(self)
        module_teachers.fit_all(self.name, training, shards, preprocessing, seeds, device, finished)


@dataclass(frozen=True)
class SklearnTeacher:
    """A scikit-learn classifier from a closed list."""

    name: ClassVar[str] = "sklearn"
    library: ClassVar[str] = "scikit-learn"
    model: str = "logistic_regression"
    balanced: bool = False  # every class of a shard weighs the same: for a rare outcome
    regularization: float = 1.0  # 1 / C of logistic_regression and svc

    def __post_init__(self) -> None:
        check_sklearn("teacher", self.model, self.regularization)
        if self.balanced and self.model in UNWEIGHTED:
            raise ConfigError(
                f"teacher.balanced must be false with teacher.model={self.model}, "
                "whose records have no weights"
            )

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

        sklearn_teachers.fit_all(self, shards, preprocessing, seeds, finished)


def check_sklearn(group: str, model: str, regularization: float) -> None:
    """A name of the closed list, and a regularization that it has; `ConfigError` names both."""
    _check.one_of(SKLEARN_MODELS, **{f"{group}.model": model})
    _check.positive(**{f"{group}.regularization": regularization})
    if regularization != 1 and model not in REGULARIZED:
        raise ConfigError(
            f"{group}.regularization must be 1 with {group}.model={model}, "
            f"only {' and '.join(REGULARIZED)} have one, got {regularization}"
        )


def check_widths(name: str, widths: Sequence[int]) -> None:
    """Every width is a whole number >= 1; `ConfigError` names the setting."""
    for width in widths:
        _check.at_least(1, **{name: width})


def check_channels(name: str, channels: Sequence[int]) -> None:
    """At least one convolution; `ConfigError` names the setting."""
    check_widths(name, channels)
    if not channels:
        raise ConfigError(f"{name} must name at least one convolution, got none")
