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

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from fedpate.learning.guided import Guided, Pace
from fedpate.learning.nets import Params
from fedpate.learning.problem import Problem
from fedpate.learning.views import View

BOOTSTRAP_FROM, BOOTSTRAP_TO = 0.25, 0.5  # shares of the training between which labels give way
SHARES_MEMORY = 0.98  # of the running mean of the guide's class shares, per step
PRIOR_SMOOTHING = 0.2  # of the mean number of labels per class, added to each class


@dataclass(frozen=True)
class Recipe:
    """How to train: the settings of `student=fixmatch`, resolved for the kind of records."""

    pace: Pace
    batch_size: int  # labelled records per step
    pool_ratio: int  # records of the pool per labelled one
    confidence: float  # probability from which the guide's class is a target
    smoothing: float  # share of each label's mass that is spread over all classes
    bootstrap: float  # weight of the guide's opinion in a label's target, at the end
    alignment: float  # power with which class shares are corrected; 0 is not at all
    pool_weight: float  # of the pool's loss
    weak: View
    strong: View

    def trust(self, step: int) -> float:
        """Weight of the guide's opinion in the targets of labelled records."""
        into = (step / self.pace.steps - BOOTSTRAP_FROM) / (BOOTSTRAP_TO - BOOTSTRAP_FROM)
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
    pair = Guided(net, recipe.pace, rng, device)
    targets = smoothed(labels, net.n_classes, recipe.smoothing)
    aligned = Alignment(labels, net.n_classes, recipe.alignment)
    few = min(recipe.batch_size, len(labels))
    many = min(recipe.batch_size * recipe.pool_ratio, len(pool))
    for step in range(recipe.pace.steps):
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
    return pair.params()


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
