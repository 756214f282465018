"""FixMatch: what the network is sure of, it has to recognize in disguise.

[S20] Sohn et al., FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence,
NeurIPS 2020, arXiv:2001.07685. [B20] Berthelot et al., ReMixMatch, ICLR 2020, arXiv:1911.09785.
[R15] Reed et al., Training Deep Neural Networks on Noisy Labels with Bootstrapping, ICLR 2015
workshop, arXiv:1412.6596.

Each record is seen twice: changed a little (weak) and a lot (strong). Where the guide, a running
average of the network, is sure of the weak view, its class is the target for the strong one [S20].
Two things are added because released labels are wrong for one record in twenty. The guide's class
shares are drawn towards those of the released labels [B20]. And from a quarter of the training on,
the targets of labelled records move towards the guide's opinion, too [R15]: a network that has seen
the whole pool knows better than a noisy label, and has not learned it by heart.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from fedpate.learning.nets import Net, Params, initial_params
from fedpate.learning.optimizer import AdamW
from fedpate.learning.problem import Problem
from fedpate.learning.views import View

WARM_UP = 50  # steps over which the learning rate rises
BOOTSTRAP_FROM, BOOTSTRAP_TO = 0.25, 0.5  # shares of the training between which labels give way
SHARES_MEMORY = 0.98  # of the running mean of the guide's class shares, per step
PRIOR_SMOOTHING = 0.2  # of the mean number of labels per class, added to each class


@dataclass(frozen=True)
class Recipe:
    """How to train: the settings of `student=fixmatch`, resolved for the kind of records."""

    steps: int
    batch_size: int  # labelled records per step
    pool_ratio: int  # records of the pool per labelled one
    learning_rate: float
    weight_decay: float
    averaging: float  # of the guide's weights: memory per step
    confidence: float  # probability from which the guide's class is a target
    smoothing: float  # share of each label's mass that is spread over all classes
    bootstrap: float  # weight of the guide's opinion in a label's target, at the end
    alignment: float  # power with which class shares are corrected; 0 is not at all
    pool_weight: float  # of the pool's loss
    weak: View
    strong: View

    def rate(self, step: int) -> float:
        """Learning rate of a step: a short rise, then [S20]'s seven sixteenths of a cosine."""
        rise = min(1.0, (step + 1) / WARM_UP)
        return self.learning_rate * rise * math.cos(7 / 16 * math.pi * step / self.steps)

    def memory(self, step: int) -> float:
        """Memory of the guide at a step: short at first, so that it forgets the random start."""
        return min(self.averaging, step / (step + 10))

    def trust(self, step: int) -> float:
        """Weight of the guide's opinion in the targets of labelled records."""
        into = (step / self.steps - BOOTSTRAP_FROM) / (BOOTSTRAP_TO - BOOTSTRAP_FROM)
        return self.bootstrap * min(1.0, max(0.0, into))


def train(
    problem: Problem,
    recipe: Recipe,
    rng: np.random.Generator,
    device: str = "cpu",
    stopped: Callable[[], bool] = lambda: False,
) -> Params:
    """Train one network on released labels and the whole pool.

    Args:
      problem: the architecture, the released labels and the pool.
      recipe: how.
      rng: initial weights, batches and views; the same on every device.
      device: where to train.
      stopped: asked before every step; True ends the training early (its result is void).

    Returns:
      The guide's parameters, on the CPU.
    """
    net, pool = problem.net, problem.pool.to(device)
    records, labels = problem.records.to(device), problem.labels.to(device)
    pair = _Pair(net, recipe, rng, device)
    targets = smoothed(labels, net.n_classes, recipe.smoothing)
    aligned = Alignment(labels, net.n_classes, recipe.alignment)
    few = min(recipe.batch_size, len(labels))
    many = min(recipe.batch_size * recipe.pool_ratio, len(pool))
    for step in range(recipe.steps):
        if stopped():
            break
        own = torch.from_numpy(rng.integers(len(labels), size=few)).to(device)
        other = torch.from_numpy(rng.integers(len(pool), size=many)).to(device)
        seen = torch.cat([records[own], pool[other]])
        opinion = pair.opinion(recipe.weak.of(seen, rng))
        trust = recipe.trust(step)
        wanted = (1 - trust) * targets[own] + trust * opinion[:few]
        sure, guessed = aligned(opinion[few:]).max(dim=1)
        answers = pair.network(recipe.strong.of(seen, rng))
        by_label = functional.cross_entropy(answers[:few], wanted)
        by_guess = functional.cross_entropy(answers[few:], guessed, reduction="none")
        by_guess = (by_guess * (sure >= recipe.confidence)).mean()
        pair.step(by_label + recipe.pool_weight * by_guess, step)
    return {name: value.detach().cpu() for name, value in pair.guide.state_dict().items()}


class _Pair:
    """The network that learns and its guide, the running average of its weights."""

    def __init__(self, net: Net, recipe: Recipe, rng: np.random.Generator, device: str) -> None:
        weights = initial_params(net, rng)
        self.network, self.guide = (_module(net, weights, device) for _ in range(2))
        self._recipe = recipe
        self._parameters = list(self.network.parameters())
        self._values = [values.detach() for values in self._parameters]
        self._averages = [values.detach() for values in self.guide.parameters()]
        self._optimizer = AdamW(self._values, recipe.weight_decay)

    def opinion(self, records: torch.Tensor) -> torch.Tensor:
        """The guide's probabilities: (n, n_classes), without a gradient."""
        with torch.no_grad():
            return torch.softmax(self.guide(records), dim=1)

    def step(self, loss: torch.Tensor, step: int) -> None:
        """Move the network against the loss's gradient, and the guide after the network."""
        gradients = torch.autograd.grad(loss, self._parameters)
        self._optimizer.step(gradients, self._recipe.rate(step))
        torch._foreach_lerp_(self._averages, self._values, 1 - self._recipe.memory(step))


class Alignment:
    """Corrects class shares that drift away from those of the released labels [B20]."""

    def __init__(self, labels: torch.Tensor, n_classes: int, power: float) -> None:
        counts = torch.bincount(labels, minlength=n_classes).float()
        counts += PRIOR_SMOOTHING * len(labels) / n_classes
        self._prior = counts / counts.sum()
        self._shares = torch.full_like(self._prior, 1 / n_classes)
        self._power = power

    def __call__(self, opinion: torch.Tensor) -> torch.Tensor:
        """(n, n_classes) probabilities -> the same, with each class weighted; updates the mean."""
        self._shares.lerp_(opinion.mean(dim=0), 1 - SHARES_MEMORY)
        weighted = opinion * (self._prior / self._shares.clamp_min(1e-4)) ** self._power
        return weighted / weighted.sum(dim=1, keepdim=True)


def smoothed(labels: torch.Tensor, n_classes: int, smoothing: float) -> torch.Tensor:
    """(n,) labels -> (n, n_classes) targets with `smoothing` of the mass on all classes alike."""
    one_hot = functional.one_hot(labels, n_classes).float()
    return (1 - smoothing) * one_hot + smoothing / n_classes


def _module(net: Net, weights: Params, device: str) -> torch.nn.Module:
    module = net.module()
    module.load_state_dict({name: value.clone() for name, value in weights.items()}, assign=True)
    module.to(device).requires_grad_()
    return module.to(memory_format=torch.channels_last)
