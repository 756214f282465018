"""What every trained teacher can do, whatever it is made of; and the two simplest kinds.

A teacher holds its preprocessing and applies it itself: it is asked about raw records. Its answers
are the only use that the federation makes of it.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning import stacked
from fedpate.learning.nets import Net, Params
from fedpate.records import Features, Floats, Ints

ANSWER_BYTES = 2**27  # of activations at a time, when a network is asked


@runtime_checkable
class FittedTeacher(Protocol):
    """A trained model that votes. All implementations answer with every class that exists,
    also with those that its own records lacked (those get few votes, but keep their column).
    """

    @property
    def n_classes(self) -> int:
        """Number of classes of the federation, not of the shard."""

    def votes(self, features: Features) -> Ints:
        """Predicted class of each record: (n, ...) -> (n,) in [0, n_classes)."""

    def probabilities(self, features: Features) -> Floats:
        """(n, ...) -> (n, n_classes) float64, rows on the simplex."""


@dataclass(frozen=True)
class ConstantTeacher:
    """What a shard with a single class teaches: always that class."""

    label: int
    n_classes: int

    def votes(self, features: Features) -> Ints:
        """The one class, for every record."""
        return np.full(len(features), self.label, np.int64)

    def probabilities(self, features: Features) -> Floats:
        """All mass on the one class."""
        return one_hot(self.votes(features), self.n_classes)


@dataclass(frozen=True, eq=False)
class TorchTeacher:
    """One trained network."""

    net: Net
    params: Params  # without a model axis
    preprocessing: Preprocessing

    @property
    def n_classes(self) -> int:
        """Width of the network's last layer."""
        return self.net.n_classes

    def votes(self, features: Features) -> Ints:
        """Arg max of the logits; the first of equal ones."""
        return self._logits(features).argmax(dim=1).numpy()

    def probabilities(self, features: Features) -> Floats:
        """Softmax of the logits."""
        return torch.softmax(self._logits(features).double(), dim=1).numpy()

    def _logits(self, features: Features) -> torch.Tensor:
        """In batches of bounded memory: (n, ...) -> (n, n_classes)."""
        one = stacked.stack(self.net, [self.params])
        step = max(1, ANSWER_BYTES // (4 * self.net.activations))
        with torch.inference_mode():
            return torch.cat(
                [
                    stacked.logits(self.net, one, as_records(self, features[at : at + step]))[0]
                    for at in range(0, len(features), step)
                ]
                or [torch.empty(0, self.n_classes)]
            )


def as_records(teacher: TorchTeacher, features: Features) -> torch.Tensor:
    """Preprocessed, in the network's shape, for all the models of a stack: (1, n, ...)."""
    prepared = teacher.preprocessing.apply(features)
    return torch.from_numpy(prepared).reshape(1, -1, *teacher.net.input_shape)


def one_hot(labels: Ints, n_classes: int) -> Floats:
    """(n,) classes -> (n, n_classes) with a single 1 in each row."""
    table = np.zeros((len(labels), n_classes))
    table[np.arange(len(labels)), labels] = 1
    return table
