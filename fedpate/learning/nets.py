"""Architectures as data: one description for a plain module and for a stack of models.

`Net.module` is the ordinary `torch.nn.Sequential` of one model. `fedpate.learning.ensemble` runs
many models of one `Net` at once, with parameters that carry a leading model axis. Both use the
state dict's names and shapes ("0.weight", ...), so weights pass between them untranslated.
Images are (rows, columns) or (channels, rows, columns) per record; anything else is a row.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import nn

from fedpate.errors import ConfigError

STEM_SIDE = 16  # pixels
COARSE_SIDE = 48  # pixels

Params = dict[str, torch.Tensor]  # parameter name -> float32 values of one model


@dataclass(frozen=True)
class Block:
    """A convolution, a maximum pool and a ReLU."""

    inputs: int  # channels
    outputs: int  # channels
    kernel: int  # rows = columns
    stride: int
    padding: int
    pool: int  # rows = columns

    def convolved(self, side: int) -> int:
        """Rows (or columns) between convolution and pool."""
        return (side + 2 * self.padding - self.kernel) // self.stride + 1

    def side(self, side: int) -> int:
        """Rows (or columns) after the block."""
        return self.convolved(side) // self.pool


@dataclass(frozen=True)
class Net:
    """Convolution blocks (none for an MLP), then dense layers with a ReLU between them."""

    record_shape: tuple[int, ...]
    blocks: tuple[Block, ...]
    widths: tuple[int, ...]  # inputs of the first dense layer, ..., number of classes

    @property
    def n_classes(self) -> int:
        """Width of the last layer."""
        return self.widths[-1]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, rows, columns) of one record."""
        depth, rows, columns = (1, *self.record_shape)[-3:]
        return depth, rows, columns

    def module(self) -> nn.Sequential:
        """One model, on no device's memory yet: its parameters are filled by `load_state_dict`."""
        layers: list[nn.Module] = []
        with torch.device("meta"):  # no draw from torch's global generator
            for block in self.blocks:
                layers.append(
                    nn.Conv2d(
                        block.inputs,
                        block.outputs,
                        block.kernel,
                        block.stride,
                        block.padding,
                    )
                )
                layers += [nn.MaxPool2d(block.pool), nn.ReLU()]
            layers.append(nn.Flatten())
            for inputs, outputs in itertools.pairwise(self.widths):
                layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter name -> shape, in the module's order."""
        return dict(_shapes(self))

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape in which one record enters the module."""
        return self.image_shape if self.blocks else self.record_shape

    @property
    def n_parameters(self) -> int:
        """Weights and biases of one model."""
        return sum(math.prod(shape) for shape in self.shapes().values())

    @property
    def activations(self) -> int:
        """Numbers that a forward pass makes of one record, the record included."""
        _, rows, columns = self.image_shape if self.blocks else (1, 1, 1)
        total = math.prod(self.record_shape)
        for block in self.blocks:
            total += block.outputs * block.convolved(rows) * block.convolved(columns)
            rows, columns = block.side(rows), block.side(columns)
            total += block.outputs * rows * columns
        return total + sum(self.widths)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for a file's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> "Net":
        """Read what `to_dict` wrote."""
        return cls(
            tuple(fields["record_shape"]),
            tuple(Block(**block) for block in fields["blocks"]),
            tuple(fields["widths"]),
        )


@lru_cache(maxsize=64)
def _shapes(net: Net) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in net.module().named_parameters()}


def mlp(record_shape: tuple[int, ...], hidden: tuple[int, ...], n_classes: int) -> Net:
    """Dense layers over the flattened record; no hidden layer is logistic regression."""
    return Net(tuple(record_shape), (), (math.prod(record_shape), *hidden, n_classes))


def cnn(
    record_shape: tuple[int, ...],
    channels: tuple[int, ...],
    hidden: tuple[int, ...],
    n_classes: int,
) -> Net:
    """Convolution blocks sized by the image, then dense layers.

    An image of `STEM_SIDE` pixels or more is first reduced to a quarter of its side, by a 5 x 5
    convolution with stride 2 and a 2 x 2 pool; every other block is a 3 x 3 convolution and a
    2 x 2 pool. On 240 MNIST images that is as accurate as to convolve the whole image, for a
    third of the time. Blocks that would leave nothing of a side are left out.

    Args:
      record_shape: (rows, columns) or (channels, rows, columns).
      channels: outputs of each block.
      hidden: widths of the dense layers before the logits.
      n_classes: number of logits.

    Raises:
      ConfigError: the records are not images.
    """
    if len(record_shape) not in (2, 3):
        raise ConfigError(
            "a cnn needs images of shape (rows, columns) or (channels, rows, columns), "
            f"got records of shape {tuple(record_shape)}"
        )
    depth, rows, columns = (1, *record_shape)[-3:]
    blocks: list[Block] = []
    for outputs in channels:
        if not blocks and min(rows, columns) >= STEM_SIDE:
            block = Block(depth, outputs, kernel=5, stride=2, padding=0, pool=2)
        else:
            block = Block(depth, outputs, kernel=3, stride=1, padding=1, pool=2)
        if min(block.side(rows), block.side(columns)) < 1:
            break
        blocks.append(block)
        depth, rows, columns = outputs, block.side(rows), block.side(columns)
    return Net(tuple(record_shape), tuple(blocks), (depth * rows * columns, *hidden, n_classes))


def fine_cnn(
    record_shape: tuple[int, ...],
    channels: tuple[int, ...],
    hidden: tuple[int, ...],
    n_classes: int,
) -> Net:
    """As `cnn`, but images of less than `COARSE_SIDE` pixels are convolved in full resolution.

    Several times the work per image, for networks that learn from thousands of them. The first
    convolution is 5 x 5, the others 3 x 3, and each is followed by a 2 x 2 pool.
    """
    coarse = cnn(record_shape, channels, hidden, n_classes)
    depth, rows, columns = coarse.image_shape
    if min(rows, columns) >= COARSE_SIDE:
        return coarse
    blocks: list[Block] = []
    for outputs in channels:
        kernel = 3 if blocks else 5
        block = Block(depth, outputs, kernel, stride=1, padding=kernel // 2, pool=2)
        if min(block.side(rows), block.side(columns)) < 1:
            break
        blocks.append(block)
        depth, rows, columns = outputs, block.side(rows), block.side(columns)
    return Net(tuple(record_shape), tuple(blocks), (depth * rows * columns, *hidden, n_classes))


def initial_params(net: Net, rng: np.random.Generator) -> Params:
    """He initialization, uniform, from `rng` alone; biases start at zero (He et al. 2015)."""
    params: Params = {}
    for name, shape in net.shapes().items():
        if name.endswith("bias"):
            params[name] = torch.zeros(shape)
        else:
            bound = math.sqrt(6 / math.prod(shape[1:]))
            params[name] = torch.from_numpy(rng.uniform(-bound, bound, shape).astype(np.float32))
    return params
