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

ANSWER_BYTES = 2**24  # of activations at a time, when networks are asked: what a cache holds


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
        """(n, ...) -> (n, n_classes)."""
        one = stacked.stack(self.net, [self.params])
        return answers(self, one, features)[0]


def answers(
    first: TorchTeacher, stack: stacked.Stack, features: Features, device: str = "cpu"
) -> torch.Tensor:
    """Logits of a stack for the same records, in chunks that bound the activations.

    Args:
      first: any of the stack's teachers: they share architecture and preprocessing.
      stack: the teachers' parameters, on `device`.
      features: (n, ...) as the data set has them.
      device: a torch device.

    Returns:
      (models, n, n_classes), on the CPU.
    """
    net, models = first.net, len(stack[0])
    step = max(1, ANSWER_BYTES // (4 * models * net.activations))
    found = torch.empty(models, len(features), net.n_classes)
    with torch.inference_mode():
        for at in range(0, len(features), step):
            prepared = first.preprocessing.apply(features[at : at + step])
            records = torch.from_numpy(prepared).reshape(1, -1, *net.input_shape).to(device)
            found[:, at : at + step] = stacked.logits(net, stack, records)
    return found


def one_hot(labels: Ints, n_classes: int) -> Floats:
    """(n,) classes -> (n, n_classes) with a single 1 in each row."""
    table = np.zeros((len(labels), n_classes))
    table[np.arange(len(labels)), labels] = 1
    return table
