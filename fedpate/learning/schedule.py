"""How long one model trains, and on which records in which order: all of it from one generator.

The schedule is made before training and is the same for the plain loop and for the stacked one;
no randomness is drawn during training, so nothing depends on the engine, the grouping of teachers
or torch's global generator.
"""

import math
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import numpy.typing as npt

from fedpate import _check

PADDING = -1  # a row number that stands for "no record"


@dataclass(frozen=True)
class Training:
    """Length and step size of a training, whatever the model.

    A model trains for `epochs` passes over its records, but for at least `min_steps` and at most
    `max_steps` batches: a shard of ten records still gets enough steps, and a pooled data set does
    not train for hours. The learning rate falls to zero along a half cosine.
    """

    epochs: int
    min_steps: int
    max_steps: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    max_shift: int = 0  # pixels; images are moved by up to so many, at random

    @classmethod
    def of(cls, settings: object) -> Self:
        """The settings of these names from a class that has more of them."""
        return cls(
            **{f.name: getattr(settings, f.name) for f in fields(cls) if hasattr(settings, f.name)}
        )

    def check(self, group: str) -> None:
        """Refuse impossible values by the names that a user types: `group.epochs`, ...

        Raises:
          ConfigError: with the setting, the rule and the value.
        """
        for name in ("epochs", "min_steps", "batch_size"):
            _check.at_least(1, **{f"{group}.{name}": getattr(self, name)})
        _check.at_least(self.min_steps, **{f"{group}.max_steps": self.max_steps})
        _check.at_least(0, **{f"{group}.max_shift": self.max_shift})
        _check.positive(**{f"{group}.learning_rate": self.learning_rate})
        _check.non_negative(**{f"{group}.weight_decay": self.weight_decay})

    def steps(self, n_records: int) -> int:
        """Batches that a model with so many records trains for."""
        wanted = self.epochs * -(-n_records // self.batch_size)
        return min(max(wanted, self.min_steps), self.max_steps)

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step, counted from 0, of a training of so many steps."""
        return self.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2


@dataclass(frozen=True, eq=False)
class Schedule:
    """The batches of one model's training."""

    rows: npt.NDArray[np.int32]  # (steps, width) row numbers in the shard, PADDING at the end
    shifts: npt.NDArray[np.int8] | None  # (steps, width, 2) pixels down and right

    @property
    def steps(self) -> int:
        """Number of batches."""
        return len(self.rows)


def make_schedule(n_records: int, training: Training, rng: np.random.Generator) -> Schedule:
    """Every epoch is a fresh permutation, cut into batches; the last batch may be smaller."""
    steps = training.steps(n_records)
    width = min(training.batch_size, n_records)
    per_epoch = -(-n_records // width)
    epochs = -(-steps // per_epoch)
    orders = np.full((epochs, per_epoch * width), PADDING, np.int32)
    orders[:, :n_records] = np.arange(n_records, dtype=np.int32)
    orders[:, :n_records] = rng.permuted(orders[:, :n_records], axis=1)
    rows = orders.reshape(epochs * per_epoch, width)[:steps]
    shifts = None
    if training.max_shift:
        reach = training.max_shift
        shifts = rng.integers(-reach, reach, (*rows.shape, 2), np.int8, endpoint=True)
    return Schedule(rows, shifts)
