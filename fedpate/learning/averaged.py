"""What a hospital does in one round of federated averaging: train the common network a little.

The baseline that PATE is compared with: weights leave the hospital, so it exists in simulations
only. `PlainUpdates` gives no privacy. `PrivateUpdates` is DP-SGD by Opacus [A16]: every record's
gradient is clipped, and Gaussian noise is added to the sum over a Poisson sample of the records.

[A16] Abadi et al., Deep Learning with Differential Privacy, CCS 2016, arXiv:1607.00133.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch.nn import functional

from fedpate import rng
from fedpate.learning.loop import train_one
from fedpate.learning.nets import Net, Params
from fedpate.learning.schedule import Training, make_schedule
from fedpate.privacy import dpsgd

ROUNDS = 20
CLIP = 1.0  # L2 norm of one record's gradient
PRIVATE_RATE = 0.5  # learning rate of DP-SGD, per clipped mean gradient
LEAST_EPSILON = 1e-3  # with less, the noise hides everything and may be out of reach
FEWEST_SAMPLED = 32  # records in a Poisson sample, expected
SAMPLES_PER_ROUND = 4  # at most: a sample is a quarter of the records, or more


class Updates(Protocol):
    """How a hospital improves the common network."""

    def update(
        self, net: Net, params: Params, features: torch.Tensor, labels: torch.Tensor, seed: int
    ) -> Params:
        """One round: preprocessed (n, ...) float32 features, (n,) int64 labels -> new weights."""


@dataclass(frozen=True)
class PlainUpdates:
    """One pass over the records with AdamW, as in `fedpate.learning.loop`."""

    training: Training  # epochs and steps are those of one round

    def update(
        self, net: Net, params: Params, features: torch.Tensor, labels: torch.Tensor, seed: int
    ) -> Params:
        """Train from `params`; batches and augmentation come from `seed`."""
        generator = np.random.default_rng(seed)
        schedule = make_schedule(len(labels), self.training, generator, images=bool(net.blocks))
        return train_one(net, params, features, labels, schedule, self.training)


@dataclass(frozen=True)
class PrivateUpdates:
    """DP-SGD whose whole course costs a patient (epsilon, delta), replace-one.

    Formal guarantee, given one record per patient and secret noise: everything that a hospital
    sends in `ROUNDS` rounds together is (epsilon, delta)-DP; hospitals have different patients, so
    this is the price of all of it (parallel composition).

    The noise is the least with which `fedpate.privacy.dpsgd`, the accountant of DP-SGD teachers,
    proves it. It comes from a seed: good for a comparison, and no guarantee to anybody.
    """

    epsilon: float  # finite, at least `LEAST_EPSILON`
    delta: float

    def update(
        self, net: Net, params: Params, features: torch.Tensor, labels: torch.Tensor, seed: int
    ) -> Params:
        """Steps of noisy gradient descent on Poisson samples."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Opacus on its hooks and its generator
            from opacus import GradSampleModule
            from opacus.optimizers import DPOptimizer

            generator = torch.Generator().manual_seed(rng.stream_seed(seed, "noise") % 2**63)
            own = net.module()
            own.load_state_dict({k: v.clone() for k, v in params.items()}, assign=True)
            module = GradSampleModule(own.requires_grad_(), loss_reduction="sum")
            expected = max(1, round(sampling_rate(len(labels)) * len(labels)))
            optimizer = DPOptimizer(
                torch.optim.SGD(module.parameters(), lr=PRIVATE_RATE),
                noise_multiplier=self.noise(len(labels)),
                max_grad_norm=CLIP,
                expected_batch_size=expected,
                loss_reduction="mean",
                generator=generator,
            )
            for _ in range(samples_per_round(len(labels))):
                draws = torch.rand(len(labels), generator=generator)
                rows = torch.nonzero(draws < sampling_rate(len(labels)))[:, 0]
                optimizer.zero_grad()
                answers = module(features[rows])
                functional.cross_entropy(answers, labels[rows], reduction="sum").backward()  # type: ignore[no-untyped-call]
                optimizer.step()
        return {name: value.detach().clone() for name, value in own.state_dict().items()}

    def noise(self, n_records: int) -> float:
        """Standard deviation of the noise over `CLIP` that a hospital of this size needs."""
        return dpsgd.noise_multiplier(
            self.epsilon,
            self.delta,
            sampling_rate(n_records),
            ROUNDS * samples_per_round(n_records),
        )


def sampling_rate(n_records: int) -> float:
    """Probability with which a record is in a step's sample."""
    return min(1.0, max(FEWEST_SAMPLED / n_records, 1 / SAMPLES_PER_ROUND))


def samples_per_round(n_records: int) -> int:
    """Steps that visit a record once per round, in expectation."""
    return math.ceil(1 / sampling_rate(n_records))
