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
from fedpate.learning.motions import Motions, draw_motions

PADDING = -1  # a row number that stands for "no record"
# bfloat16: parameters, sums and the optimizer stay float32. For GPUs; on most CPUs it is no faster.
PRECISIONS = ("bfloat16", "float32")
WIDTH_STEP = 8  # widths of batches are multiples of this, or the batch size


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
    weight_decay: float = 0.0
    max_shift: float = 0.0  # share of an image's side; images are moved at random, `motions`
    max_turn: float = 0.0  # degrees
    max_zoom: float = 0.0  # logarithm of the largest factor
    max_shear: float = 0.0  # rows slide by this share of their distance from the middle
    precision: str = "float32"  # of products and convolutions in training, `PRECISIONS`

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
        _check.positive(**{f"{group}.learning_rate": self.learning_rate})
        _check.one_of(PRECISIONS, **{f"{group}.precision": self.precision})
        for name in ("weight_decay", "max_shift", "max_turn", "max_zoom", "max_shear"):
            _check.non_negative(**{f"{group}.{name}": getattr(self, name)})

    @property
    def moves_images(self) -> bool:
        """Whether there is any augmentation."""
        return max(self.max_shift, self.max_turn, self.max_zoom, self.max_shear) > 0

    def steps(self, n_records: int) -> int:
        """Batches that a model with so many records trains for."""
        wanted = self.epochs * -(-n_records // self.batch_size)
        return min(max(wanted, self.min_steps), self.max_steps)

    def width(self, n_records: int) -> int:
        """Places in a batch of a model with so many records, padding included.

        Few distinct widths, so that small shards of unequal sizes can be trained together.
        """
        padded = -(-n_records // WIDTH_STEP) * WIDTH_STEP
        return min(self.batch_size, padded)

    def rate(self, step: int, steps: int) -> float:
        """Learning rate of a step, counted from 0, of a training of so many steps."""
        return self.learning_rate * (1 + math.cos(math.pi * step / steps)) / 2


@dataclass(frozen=True, eq=False)
class Schedule:
    """The batches of one model's training."""

    rows: npt.NDArray[np.int32]  # (steps, width) row numbers in the shard, PADDING at the end
    motions: Motions | None  # (steps, width, 2, 3), for images that are moved

    @property
    def steps(self) -> int:
        """Number of batches."""
        return len(self.rows)

    @property
    def width(self) -> int:
        """Places in a batch, padding included."""
        return int(self.rows.shape[1])


def make_schedule(
    n_records: int, training: Training, rng: np.random.Generator, *, images: bool
) -> Schedule:
    """Every epoch is a fresh permutation, cut into batches; the last batch may be smaller.

    Args:
      n_records: of the shard, >= 1.
      training: epochs, batch size and augmentation.
      rng: the model's own stream.
      images: whether records are images, so that they can be moved.
    """
    steps = training.steps(n_records)
    size = min(training.batch_size, n_records)
    per_epoch = -(-n_records // size)
    epochs = -(-steps // per_epoch)
    orders = np.full((epochs, per_epoch * size), PADDING, np.int32)
    orders[:, :n_records] = np.arange(n_records, dtype=np.int32)
    orders[:, :n_records] = rng.permuted(orders[:, :n_records], axis=1)
    rows = np.full((steps, training.width(n_records)), PADDING, np.int32)
    rows[:, :size] = orders.reshape(epochs * per_epoch, size)[:steps]
    motions = None
    if images and training.moves_images:
        motions = draw_motions(
            rows.shape,
            training.max_shift,
            training.max_turn,
            training.max_zoom,
            training.max_shear,
            rng,
        )
    return Schedule(rows, motions)
