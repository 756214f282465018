"""One network taught by an ensemble that was cross-fitted on the released labels.

[H15] Hinton, Vinyals, Dean, Distilling the Knowledge in a Neural Network, arXiv:1503.02531.
[N18] Northcutt, Jiang, Chuang, Confident Learning, arXiv:1911.00068: out-of-fold predictions show
which labels are wrong.

Released labels become soft here: a record's target is what networks say that have not seen its
label. A wrong label thus never teaches its own record, where a network trained on it would learn it
by heart; and the whole pool has targets, labelled or not. The result is a single network.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from fedpate.learning.guided import Guided, Pace
from fedpate.learning.nets import Net, Params
from fedpate.learning.views import View
from fedpate.records import Floats, Ints


@dataclass(frozen=True)
class SoftRecipe:
    """How the one network is trained."""

    pace: Pace
    batch_size: int
    view: View


def as_tensor(targets: Floats) -> torch.Tensor:
    """(m, n_classes) float32."""
    return torch.from_numpy(targets.astype(np.float32))


def folds(n_records: int, n_folds: int, rng: np.random.Generator) -> Ints:
    """(n_records,) fold of each record; sizes differ by at most one."""
    return rng.permutation(n_records) % n_folds


def out_of_fold(tables: Floats, fold_of: Ints, rows: Ints) -> Floats:
    """Soft targets of the pool from members that have not seen a record's label.

    Args:
      tables: (repeats, folds, n_pool, n_classes) probabilities of the member that left a fold out.
      fold_of: (repeats, n_labelled) fold of each labelled record.
      rows: (n_labelled,) place of each labelled record in the pool.

    Returns:
      (n_pool, n_classes): the mean over all members where there is no label, and over those that
      left the record out where there is one.
    """
    targets: Floats = tables.mean(axis=(0, 1))
    repeats = np.arange(len(tables))[:, None]
    targets[rows] = tables[repeats, fold_of, rows].mean(axis=0)
    return targets


def train(
    net: Net,
    pool: torch.Tensor,
    targets: torch.Tensor,
    recipe: SoftRecipe,
    rng: np.random.Generator,
    device: str = "cpu",
    stopped: Callable[[], bool] = lambda: False,
) -> Params:
    """Train one network on soft targets.

    Args:
      net: the architecture.
      pool: (m, *input_shape) float32, preprocessed.
      targets: (m, n_classes) rows on the simplex.
      recipe: how.
      rng: initial weights, batches and views.
      device: where to train.
      stopped: asked before every step; True ends the training early (its result is void).
    """
    pool, targets = pool.to(device), targets.to(device)
    pair = Guided(net, recipe.pace, rng, device)
    size = min(recipe.batch_size, len(pool))
    for step in range(recipe.pace.steps):
        if stopped():
            break
        rows = torch.from_numpy(rng.integers(len(pool), size=size)).to(device)
        answers = pair.network(recipe.view.of(pool[rows], rng))
        pair.step(functional.cross_entropy(answers, targets[rows]), step)
    return pair.params()
