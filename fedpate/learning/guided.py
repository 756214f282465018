"""A network that learns and its guide, the running average of its weights, which is the result.

The average of the last hundred or so steps is what a falling learning rate would come to, at any
time; and its opinion is steady enough to be a target (Tarvainen and Valpola, Mean teachers, 2017).
"""

import math
from dataclasses import dataclass

import numpy as np
import torch

from fedpate.learning.nets import Net, Params, initial_params
from fedpate.learning.optimizer import AdamW

WARM_UP = 50  # steps over which the learning rate rises


@dataclass(frozen=True)
class Pace:
    """How long and how fast."""

    steps: int
    learning_rate: float
    weight_decay: float
    averaging: float  # of the guide's weights: memory per step

    def rate(self, step: int) -> float:
        """Learning rate of a step: a short rise, then FixMatch's seven sixteenths of a cosine."""
        rise = min(1.0, (step + 1) / WARM_UP)
        return self.learning_rate * rise * math.cos(7 / 16 * math.pi * step / self.steps)

    def memory(self, step: int) -> float:
        """Memory of the guide at a step: short at first, so that it forgets the random start."""
        return min(self.averaging, step / (step + 10))


class Guided:
    """The network that learns and its guide, the running average of its weights."""

    def __init__(self, net: Net, pace: Pace, rng: np.random.Generator, device: str) -> None:
        weights = initial_params(net, rng)
        self.network, self.guide = (_module(net, weights, device) for _ in range(2))
        self._pace = pace
        self._parameters = list(self.network.parameters())
        self._values = [values.detach() for values in self._parameters]
        self._averages = [values.detach() for values in self.guide.parameters()]
        self._optimizer = AdamW(self._values, pace.weight_decay)

    def opinion(self, records: torch.Tensor) -> torch.Tensor:
        """The guide's probabilities: (n, n_classes), without a gradient."""
        with torch.no_grad():
            return torch.softmax(self.guide(records), dim=1)

    def step(self, loss: torch.Tensor, step: int) -> None:
        """Move the network against the loss's gradient, and the guide after the network."""
        gradients = torch.autograd.grad(loss, self._parameters)
        self._optimizer.step(gradients, self._pace.rate(step))
        torch._foreach_lerp_(self._averages, self._values, 1 - self._pace.memory(step))

    def params(self) -> Params:
        """The guide's, on the CPU."""
        return {name: value.detach().cpu() for name, value in self.guide.state_dict().items()}


def _module(net: Net, weights: Params, device: str) -> torch.nn.Module:
    module = net.module()
    module.load_state_dict({name: value.clone() for name, value in weights.items()}, assign=True)
    module.to(device).requires_grad_()
    return module.to(memory_format=torch.channels_last)
