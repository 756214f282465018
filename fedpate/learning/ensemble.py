"""Vectorized training: many models of one architecture as one stack.

The twin of `fedpate.learning.loop`: the same schedules, the same loss, the same AdamW, but one
batched operation where the loop has one per model. Models may have different numbers of records:
a batch that is not full carries padding of weight 0, and a model that has finished leaves the
stack, which is sorted so that those who remain are a prefix of it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch

from fedpate.learning.gradients import gradients_of
from fedpate.learning.images import moved
from fedpate.learning.nets import Net, Params
from fedpate.learning.schedule import Schedule, Training
from fedpate.learning.stacked import Stack, stack, unstack

# One convolution alone takes another kernel than several side by side, and rounds differently: a
# lone model is trained twice, and a finished one stays in the stack without being changed.
FEWEST_CONVOLVED = 2
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # torch.optim.AdamW's own


@dataclass(frozen=True, eq=False)
class Member:
    """One model before its training."""

    weights: Params
    features: torch.Tensor  # (n_records, *record_shape) float32, preprocessed
    labels: torch.Tensor  # (n_records,) int64
    schedule: Schedule


def train_stack(
    net: Net,
    members: Sequence[Member],
    training: Training,
    device: str = "cpu",
    stopped: Callable[[], bool] = lambda: False,
) -> list[Params]:
    """Train models of one architecture and one batch width together.

    Called with one thread per operation, as in `parallel.run_all`, a model comes out the same
    whatever is stacked beside it; `stacked` says where its last bits may differ.

    Args:
      net: the architecture.
      members: in any order; all schedules have the same width.
      training: learning rate and weight decay.
      device: where to train.
      stopped: asked before every step; True ends the training early (its result is void).

    Returns:
      The trained parameters in the order of `members`, on the CPU.
    """
    order = sorted(range(len(members)), key=lambda i: -members[i].schedule.steps)
    fewest = FEWEST_CONVOLVED if net.blocks else 1
    ranked = [members[i] for i in order] + [members[order[-1]]] * (fewest - len(order))
    batches = _Batches.of(ranked, device)
    parameters = [p.to(device) for p in stack(net, [member.weights for member in ranked])]
    steps = [member.schedule.steps for member in ranked]
    gradients = gradients_of(net, parameters, members[0].schedule.width, training.precision)
    optimizer = _AdamW(parameters, training, steps)
    for step in range(steps[0]):
        if stopped():
            break
        active = max(fewest, sum(step < n for n in steps))
        optimizer.step(step, gradients(*batches.take(step, active)))
    trained = unstack(net, parameters)
    return [trained[order.index(i)] for i in range(len(members))]


@dataclass(frozen=True, eq=False)
class _Batches:
    """All members' records in one table, and which of them each step takes."""

    features: torch.Tensor  # (all records, ...)
    labels: torch.Tensor  # (all records,)
    rows: torch.Tensor  # (steps, members, width)
    weights: torch.Tensor  # (steps, members, width): 1 / size of the batch, or 0 for padding
    motions: torch.Tensor | None  # (steps, members, width, 2, 3)

    @classmethod
    def of(cls, members: Sequence[Member], device: str) -> "_Batches":
        steps = max(member.schedule.steps for member in members)
        width = members[0].schedule.rows.shape[1]
        rows = np.zeros((steps, len(members), width), np.int64)
        weights = np.zeros((steps, len(members), width), np.float32)
        first = 0
        for index, member in enumerate(members):
            own = member.schedule.rows
            real = own >= 0
            rows[: len(own), index] = first + np.where(real, own, 0)
            weights[: len(own), index] = real / real.sum(axis=1, keepdims=True)
            first += len(member.labels)
        motions = None
        if members[0].schedule.motions is not None:
            motions = np.zeros((steps, len(members), width, 2, 3), np.float32)
            for index, member in enumerate(members):
                motions[: member.schedule.steps, index] = member.schedule.motions
        return cls(
            torch.cat([member.features for member in members]).to(device),
            torch.cat([member.labels for member in members]).to(device),
            torch.from_numpy(rows).to(device),
            torch.from_numpy(weights).to(device),
            None if motions is None else torch.from_numpy(motions).to(device),
        )

    def take(self, step: int, active: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The first `active` members' batches: (active, width, ...), and flat labels, weights."""
        rows = self.rows[step, :active].flatten()
        records = self.features.index_select(0, rows)
        if self.motions is not None:
            records = moved(records, self.motions[step, :active].flatten(0, 1))
        return (
            records.reshape(active, -1, *records.shape[1:]),
            self.labels.index_select(0, rows),
            self.weights[step, :active].flatten(),
        )


class _AdamW:
    """torch's fused AdamW kernel on stacked parameters, each model at its own learning rate.

    The kernel is called directly because the constructors in `torch.optim` import torch._dynamo:
    a second and 150 MB, in every process. Members with equal numbers of steps are neighbours and
    share a call.
    """

    def __init__(self, parameters: Stack, training: Training, steps: Sequence[int]) -> None:
        self._training = training
        self._slices: list[tuple[int, list[Stack], list[torch.Tensor]]] = []
        averages = [[torch.zeros_like(p) for p in parameters] for _ in range(2)]
        start = 0
        for n_steps, equal in groupby(steps):
            stop = start + len(list(equal))
            tensors = [[p[start:stop] for p in group] for group in (parameters, *averages)]
            counts = [torch.zeros((), device=p.device) for p in parameters]
            self._slices.append((n_steps, tensors, counts))
            start = stop
        self._bounds = np.cumsum([0, *(len(tensors[0][0]) for _, tensors, _ in self._slices)])

    def step(self, step: int, gradients: Sequence[torch.Tensor]) -> None:
        """Move every model that has not finished."""
        for index, (n_steps, (parameters, means, squares), counts) in enumerate(self._slices):
            if step >= n_steps:
                break
            own = slice(self._bounds[index], self._bounds[index + 1])
            torch._foreach_add_(counts, 1)
            torch._fused_adamw_(
                parameters,
                [gradient[own].contiguous() for gradient in gradients],
                means,
                squares,
                [],
                counts,
                lr=self._training.rate(step, n_steps),
                beta1=BETA1,
                beta2=BETA2,
                weight_decay=self._training.weight_decay,
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
            )
