"""Settings of the teachers of other libraries, and of the models that hospitals bring themselves.

As in `fedpate.learning.kinds`, a field is what a coordinator may choose.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fedpate import _check
from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import ConfigError
from fedpate.learning.kinds import check_widths
from fedpate.learning.schedule import Training
from fedpate.records import LabelledData

if TYPE_CHECKING:
    from fedpate.learning.kinds import Finished


def _fit_adapted(
    teacher: Any,
    shards: Sequence[LabelledData],
    preprocessing: Preprocessing,
    seeds: Sequence[int],
    device: str,  # noqa: ARG001 - these train on the CPU
    finished: "Finished",
) -> None:
    """One shard after the other."""
    from fedpate.learning import adapted

    adapted.fit_all(teacher.library, teacher, shards, preprocessing, seeds, finished)


@dataclass(frozen=True)
class Xgboost:
    """Gradient-boosted trees of XGBoost (the extra `xgboost`)."""

    name: ClassVar[str] = "xgboost"
    library: ClassVar[str] = "xgboost"
    rounds: int = 50  # trees, per class where there are more than two
    max_depth: int = 3
    learning_rate: float = 0.3
    subsample: float = 1.0  # share of the records that each tree sees

    def __post_init__(self) -> None:
        _check.at_least(1, **{"teacher.rounds": self.rounds, "teacher.max_depth": self.max_depth})
        _check.positive(**{"teacher.learning_rate": self.learning_rate})
        if not 0 < self.subsample <= 1:
            raise ConfigError(f"teacher.subsample must be in (0, 1], got {self.subsample!r}")

    fit_all = _fit_adapted


@dataclass(frozen=True)
class Lightgbm:
    """Gradient-boosted trees of LightGBM (the extra `lightgbm`)."""

    name: ClassVar[str] = "lightgbm"
    library: ClassVar[str] = "lightgbm"
    rounds: int = 50  # trees, per class where there are more than two
    leaves: int = 7  # of each tree
    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        _check.at_least(1, **{"teacher.rounds": self.rounds})
        _check.at_least(2, **{"teacher.leaves": self.leaves})
        _check.positive(**{"teacher.learning_rate": self.learning_rate})

    fit_all = _fit_adapted


@dataclass(frozen=True)
class Keras:
    """A small dense network of Keras on its torch backend (the extra `keras`)."""

    name: ClassVar[str] = "keras"
    library: ClassVar[str] = "keras"
    hidden: tuple[int, ...] = (64,)
    epochs: int = 30
    min_steps: int = 100
    max_steps: int = 3000
    batch_size: int = 32
    learning_rate: float = 0.01
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        check_widths("teacher.hidden", self.hidden)
        Training.of(self).check("teacher")

    fit_all = _fit_adapted


@dataclass(frozen=True)
class Command:
    """A program of the hospital's own, in an environment of its own, that trains and votes.

    Which program is the hospital's to say (`fedpate.learning.own_models.Models`): a coordinator can
    ask for votes of it and cannot name it.
    """

    name: ClassVar[str] = "command"
    library: ClassVar[str] = "fedpate"
    timeout_s: float = 3600.0  # of one call, which trains and votes

    def __post_init__(self) -> None:
        _check.positive(**{"teacher.timeout_s": self.timeout_s})

    def fit_all(
        self,
        shards: Sequence[LabelledData],
        preprocessing: Preprocessing,
        seeds: Sequence[int],
        device: str,  # noqa: ARG002 - the program's own choice
        finished: "Finished",
    ) -> None:
        """Nothing is trained yet: the program gets records and queries together."""
        from fedpate.learning.command_teachers import CommandTeacher

        for index, (shard, seed) in enumerate(zip(shards, seeds, strict=True)):
            finished(index, CommandTeacher(shard, preprocessing, seed, self.timeout_s))


@dataclass(frozen=True)
class Onnx:
    """A model that the hospital has already, as an ONNX file; nothing is trained.

    Which file is the hospital's to say (`fedpate.learning.own_models.Models`).
    """

    name: ClassVar[str] = "onnx"
    library: ClassVar[str] = "onnxruntime"

    def fit_all(
        self,
        shards: Sequence[LabelledData],  # noqa: ARG002 - see below
        preprocessing: Preprocessing,  # noqa: ARG002
        seeds: Sequence[int],  # noqa: ARG002
        device: str,  # noqa: ARG002
        finished: "Finished",  # noqa: ARG002
    ) -> None:
        """Refused: there is nothing to train.

        Raises:
          ConfigError: always; a hospital looks its models up with `own_models.onnx_teachers`.
        """
        raise ConfigError("teacher=onnx is a model that a hospital has: it cannot be trained here")
