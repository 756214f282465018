"""Random views of records, for learning that a record's class does not depend on them.

All randomness is drawn on the CPU from one generator and then sent to the device, so a view is the
same on every device.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from fedpate.learning.images import moved
from fedpate.learning.motions import draw_motions


class View(Protocol):
    """A way to change records at random without changing their class."""

    def of(self, records: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """A new view of each record, of the same shape."""


@dataclass(frozen=True)
class ImageView:
    """An image moved, seen in another light, with a square of it covered."""

    max_shift: float = 0.0  # share of the side, as in `motions.draw_motions`
    max_turn: float = 0.0  # degrees
    max_zoom: float = 0.0  # logarithm of the largest factor
    max_shear: float = 0.0  # share of the distance from the middle
    max_contrast: float = 0.0  # logarithm of the largest factor on all intensities
    max_cover: float = 0.0  # side of the largest covered square, as a share of the image's

    def of(self, records: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """(n, channels, rows, columns) -> a new view of each; what is covered becomes 0."""
        n, _, rows, columns = records.shape
        motions = draw_motions(
            (n,), self.max_shift, self.max_turn, self.max_zoom, self.max_shear, rng
        )
        light = np.exp(self.max_contrast * rng.uniform(-1, 1, n)).astype(np.float32)
        half = self.max_cover * rng.random(n) / 2
        centre = rng.random((2, n))
        seen = moved(records, torch.from_numpy(motions).to(records.device))
        if self.max_contrast:
            seen *= torch.from_numpy(light).to(records.device)[:, None, None, None]
        if self.max_cover:
            down, across = (
                np.abs((np.arange(side) + 0.5) / side - middle[:, None]) < half[:, None]
                for side, middle in zip((rows, columns), centre, strict=True)
            )
            covered = down[:, None, :, None] & across[:, None, None, :]
            seen.masked_fill_(torch.from_numpy(covered).to(records.device), 0)
        return seen


@dataclass(frozen=True)
class RowView:
    """A row with noise on its features and some of them taken from other rows."""

    noise: float = 0.0  # standard deviations
    swapped: float = 0.0  # probability that a feature is another row's

    def of(self, records: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
        """(n, features), scaled to standard deviation 1 -> a new view of each."""
        added = rng.normal(0, self.noise, records.shape).astype(np.float32)
        swap = rng.random(records.shape) < self.swapped
        other = torch.from_numpy(rng.permutation(len(records))).to(records.device)
        mixed = torch.where(torch.from_numpy(swap).to(records.device), records[other], records)
        return mixed + torch.from_numpy(added).to(records.device)
