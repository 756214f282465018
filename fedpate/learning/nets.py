"""Architectures as data: one description for a plain module and for a stack of models.

`Net.module` is the ordinary `torch.nn.Sequential` of one model. `fedpate.learning.ensemble` runs
many models of one `Net` at once, with parameters that carry a leading model axis. Both use the
state dict's names and shapes ("0.weight", ...), so weights pass between them untranslated.
Images are (rows, columns) or (channels, rows, columns) per record; anything else is a row.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from fedpate.errors import ConfigError

Weights = dict[str, npt.NDArray[np.float32]]  # parameter name -> values of one model


@dataclass(frozen=True)
class Net:
    """Convolution blocks (none for an MLP), then dense layers; ReLU between all of them.

    A block is a convolution with "same" padding, a ReLU and a 2 x 2 maximum pool. A block that
    would pool an image of one row or column is left out: "size taken from the data".
    """

    record_shape: tuple[int, ...]
    channels: tuple[int, ...]  # outputs of each convolution
    kernel: int  # rows = columns of each convolution, odd
    hidden: tuple[int, ...]  # widths of the dense layers before the logits
    n_classes: int

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, rows, columns) of one record."""
        depth, rows, columns = (1, *self.record_shape)[-3:]
        return depth, rows, columns

    def convolutions(self) -> list[tuple[int, int, int, int]]:
        """(inputs, outputs, rows, columns) of each convolution; rows and columns of its input."""
        found: list[tuple[int, int, int, int]] = []
        if self.channels:
            depth, rows, columns = self.image_shape
            for outputs in self.channels:
                if min(rows, columns) < 2:
                    break
                found.append((depth, outputs, rows, columns))
                depth, rows, columns = outputs, rows // 2, columns // 2
        return found

    def widths(self) -> tuple[int, ...]:
        """Inputs of the first dense layer, the hidden widths, the number of classes."""
        convolutions = self.convolutions()
        inputs = math.prod(self.record_shape)
        if convolutions:
            _, depth, rows, columns = convolutions[-1]
            inputs = depth * (rows // 2) * (columns // 2)
        return (inputs, *self.hidden, self.n_classes)

    def module(self) -> nn.Sequential:
        """One model, on no device's memory yet: its parameters are filled by `load_state_dict`."""
        layers: list[nn.Module] = []
        with torch.device("meta"):  # no draw from torch's global generator
            for inputs, outputs, _, _ in self.convolutions():
                layers += [nn.Conv2d(inputs, outputs, self.kernel, padding="same"), nn.ReLU()]
                layers += [nn.MaxPool2d(2)]
            layers.append(nn.Flatten())
            widths = self.widths()
            for inputs, outputs in itertools.pairwise(widths):
                layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Parameter name -> shape, in the module's order."""
        return {name: tuple(value.shape) for name, value in self.module().named_parameters()}

    def batch_shape(self, n_records: int) -> tuple[int, ...]:
        """The shape in which a batch enters the module."""
        return (n_records, *(self.image_shape if self.channels else self.record_shape))

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, for a file's header."""
        return {
            "record_shape": list(self.record_shape),
            "channels": list(self.channels),
            "kernel": self.kernel,
            "hidden": list(self.hidden),
            "n_classes": self.n_classes,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Net":
        """Read what `to_dict` wrote."""
        return cls(
            record_shape=tuple(fields["record_shape"]),
            channels=tuple(fields["channels"]),
            kernel=int(fields["kernel"]),
            hidden=tuple(fields["hidden"]),
            n_classes=int(fields["n_classes"]),
        )


def mlp(record_shape: tuple[int, ...], hidden: tuple[int, ...], n_classes: int) -> Net:
    """Dense layers over the flattened record; no hidden layer is logistic regression."""
    return Net(tuple(record_shape), (), 1, tuple(hidden), n_classes)


def cnn(
    record_shape: tuple[int, ...],
    channels: tuple[int, ...],
    kernel: int,
    hidden: tuple[int, ...],
    n_classes: int,
) -> Net:
    """Convolution blocks, then dense layers.

    Raises:
      ConfigError: the records are not images.
    """
    if len(record_shape) not in (2, 3):
        raise ConfigError(
            "a cnn needs images of shape (rows, columns) or (channels, rows, columns), "
            f"got records of shape {tuple(record_shape)}"
        )
    return Net(tuple(record_shape), tuple(channels), kernel, tuple(hidden), n_classes)


def initial_weights(net: Net, rng: np.random.Generator) -> Weights:
    """He initialization, uniform, from `rng` alone; biases start at zero (He et al. 2015)."""
    weights: Weights = {}
    for name, shape in net.shapes().items():
        if name.endswith("bias"):
            weights[name] = np.zeros(shape, np.float32)
        else:
            bound = math.sqrt(6 / math.prod(shape[1:]))
            weights[name] = rng.uniform(-bound, bound, shape).astype(np.float32)
    return weights
