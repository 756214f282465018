"""Teachers that are private themselves: DP-SGD on Opacus' per-record gradients.

The guarantee is `fedpate.privacy.dpsgd`'s: Poisson batches, every record's gradient clipped, noise
on the sum. Opacus gives the gradients and the clipping; the coins and the noise are drawn here,
from the operating system's entropy, because Opacus' own come from a seeded generator. Only the
initial weights come from the teacher's seed: they depend on no record. Noise, sampling rate and
number of steps depend on the number of records alone.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import special
from torch.nn import functional

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning import extras
from fedpate.learning.fitted import TorchTeacher
from fedpate.learning.nets import Net, Params, initial_params
from fedpate.learning.schedule import Training
from fedpate.privacy import dpsgd
from fedpate.privacy.entropy import Entropy, coins
from fedpate.records import Floats, LabelledData

if TYPE_CHECKING:
    from fedpate.learning.private_kinds import DpSgd

DRAWN_AT_ONCE = 2**20  # numbers of noise: bounds memory


def fit_all(
    settings: "DpSgd",
    shards: Sequence[LabelledData],
    preprocessing: Preprocessing,
    seeds: Sequence[int],
    entropies: Sequence[Entropy],
    device: str,
    finished: Callable[[int, TorchTeacher], None],
) -> None:
    """One network after the other; a shard of one class is trained like any other.

    Args:
      settings: the teacher's.
      shards: at least one record each, no two of one patient; all of one shape.
      preprocessing: of public records; applied here, and kept in the result.
      seeds: of the initial weights.
      entropies: of each training's coins and noise.
      device: a torch device.
      finished: gets each network with its place in `shards`.
    """
    for index, shard in enumerate(shards):
        records = torch.from_numpy(preprocessing.apply(shard.features))
        net = settings.net(tuple(records.shape[1:]), shard.n_classes)
        start = initial_params(net, np.random.default_rng(seeds[index]))
        params = _train(settings, net, start, records, shard, entropies[index], device)
        finished(index, TorchTeacher(net, params, preprocessing))


def gaussian(n: int, entropy: Entropy) -> Floats:
    """(n,) standard normal numbers by inversion at 64 bits each."""
    words = entropy.words(n)
    upper = words >> np.uint64(63) == 1
    tail = ((words & np.uint64(2**63 - 1)).astype(np.float64) + 0.5) * 2.0**-64  # in (0, 1/2)
    lower = special.ndtri(tail)
    drawn: Floats = np.where(upper, -lower, lower)
    return drawn


def _train(
    settings: "DpSgd",
    net: Net,
    start: Params,
    records: torch.Tensor,
    shard: LabelledData,
    entropy: Entropy,
    device: str,
) -> Params:
    opacus = extras.load("opacus")
    training, (q, steps) = Training.of(settings), settings.plan(len(shard))
    sigma = dpsgd.noise_multiplier(settings.target_epsilon, settings.delta, q, steps)
    module = net.module()
    module.load_state_dict({name: value.clone() for name, value in start.items()}, assign=True)
    module.requires_grad_().to(device)
    wrapped = opacus.GradSampleModule(module, loss_reduction="sum")
    optimizer = _noisy(opacus)(
        torch.optim.SGD(module.parameters(), lr=0.0, momentum=settings.momentum),
        noise_multiplier=sigma,
        max_grad_norm=settings.max_grad_norm,
        expected_batch_size=max(1, round(q * len(shard))),
        loss_reduction="mean",
    )
    optimizer.entropy = entropy
    records = records.reshape(-1, *net.input_shape).to(device)
    labels = torch.from_numpy(shard.labels).to(device)
    for step in range(steps):
        batch = np.arange(len(shard)) if q == 1 else np.flatnonzero(coins(q, len(shard), entropy))
        chosen = torch.from_numpy(batch).to(device)
        optimizer.param_groups[0]["lr"] = training.rate(step, steps)
        optimizer.zero_grad(set_to_none=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of hooks, where inputs need no gradient
            loss = functional.cross_entropy(
                wrapped(records[chosen]), labels[chosen], reduction="sum"
            )
            loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return {name: value.detach().cpu().clone() for name, value in module.state_dict().items()}


def _noisy(opacus: Any) -> Any:
    """Opacus' optimizer with noise from our entropy instead of a seeded generator's."""

    class Optimizer(opacus.optimizers.DPOptimizer):  # type: ignore[misc]
        entropy: Entropy

        def add_noise(self) -> None:
            """N(0, (noise_multiplier max_grad_norm)^2) on every number of the clipped sum."""
            scale = self.noise_multiplier * self.max_grad_norm
            for p in self.params:
                n = p.summed_grad.numel()
                drawn = [
                    gaussian(min(DRAWN_AT_ONCE, n - at), self.entropy)
                    for at in range(0, n, DRAWN_AT_ONCE)
                ]
                noise = torch.from_numpy(np.concatenate(drawn) * scale).to(p.summed_grad)
                p.grad = (p.summed_grad + noise.view_as(p.summed_grad)).view_as(p)
                p.summed_grad = None  # consumed: the sum itself is never looked at again

    return Optimizer
