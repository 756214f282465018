"""MixMatch: between two records, the answer has to be between theirs.

[B19] Berthelot et al., MixMatch: A Holistic Approach to Semi-Supervised Learning, NeurIPS 2019,
arXiv:1905.02249.

Every record of the pool gets a target: the guide's opinion, averaged over two views and sharpened.
Then labelled and unlabeled records are mixed pairwise, targets too [B19]. MixMatch rather than
virtual adversarial training, because released labels are noisy: a mixture dilutes a wrong label,
where the adversarial direction follows it; and it costs no second backward pass.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from fedpate.learning.fixmatch import smoothed
from fedpate.learning.guided import Guided, Pace
from fedpate.learning.nets import Params
from fedpate.learning.problem import Problem
from fedpate.learning.views import View

VIEWS = 2  # of a pool record, over which the opinion is averaged
RAMP = 0.5  # share of the training over which the pool's weight rises


@dataclass(frozen=True)
class MixRecipe:
    """How to train: the settings of `student=mixmatch`, resolved for the kind of records."""

    pace: Pace
    batch_size: int  # labelled records per step
    pool_ratio: int  # records of the pool per labelled one
    sharpening: float  # temperature of the guide's opinion: below 1 is sharper
    mixing: float  # parameter of the Beta distribution of mixtures: larger mixes more evenly
    smoothing: float  # share of each label's mass that is spread over all classes
    pool_weight: float  # of the pool's loss, at the end
    view: View


def train(
    problem: Problem,
    recipe: MixRecipe,
    rng: np.random.Generator,
    device: str = "cpu",
    stopped: Callable[[], bool] = lambda: False,
) -> Params:
    """Train one network; arguments and result as for `fixmatch.train`."""
    net, pool = problem.net, problem.pool.to(device)
    records, labels = problem.records.to(device), problem.labels.to(device)
    pair = Guided(net, recipe.pace, rng, device)
    targets = smoothed(labels, net.n_classes, recipe.smoothing)
    few = min(recipe.batch_size, len(labels))
    many = min(recipe.batch_size * recipe.pool_ratio, len(pool))
    for step in range(recipe.pace.steps):
        if stopped():
            break
        own = torch.from_numpy(rng.integers(len(labels), size=few)).to(device)
        other = torch.from_numpy(rng.integers(len(pool), size=many)).to(device)
        views = [recipe.view.of(pool[other], rng) for _ in range(VIEWS)]
        opinion = torch.stack([pair.opinion(view) for view in views]).mean(dim=0)
        guessed = opinion ** (1 / recipe.sharpening)
        guessed /= guessed.sum(dim=1, keepdim=True)
        seen = torch.cat([recipe.view.of(records[own], rng), views[0]])
        wanted = torch.cat([targets[own], guessed])
        seen, wanted = mixed(seen, wanted, recipe.mixing, rng)
        answers = pair.network(seen)
        by_label = functional.cross_entropy(answers[:few], wanted[:few])
        # Squared error: a guess that is wrong has a bounded loss.
        by_guess = (torch.softmax(answers[few:], dim=1) - wanted[few:]).square().mean()
        ramp = min(1.0, step / (RAMP * recipe.pace.steps))
        pair.step(by_label + ramp * recipe.pool_weight * by_guess, step)
    return pair.params()


def mixed(
    records: torch.Tensor, targets: torch.Tensor, mixing: float, rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each record with another one, at most half of the other's; targets alike."""
    share = rng.beta(mixing, mixing, len(records)).astype(np.float32)
    kept = torch.from_numpy(np.maximum(share, 1 - share)).to(records.device)
    order = torch.from_numpy(rng.permutation(len(records))).to(records.device)
    of_records = kept.reshape(-1, *[1] * (records.ndim - 1))
    return (
        of_records * records + (1 - of_records) * records[order],
        kept[:, None] * targets + (1 - kept[:, None]) * targets[order],
    )
