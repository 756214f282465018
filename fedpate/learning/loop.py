"""The plain training loop: one model, one batch at a time. The readable twin of `ensemble`.

`ensemble` does the same arithmetic for many models at once and is what runs; tests hold the two
together. Models that cannot be stacked are trained here.
"""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from fedpate.learning.gradients import mixed
from fedpate.learning.images import moved
from fedpate.learning.nets import Net, Params
from fedpate.learning.schedule import Schedule, Training


def train_one(
    net: Net,
    weights: Params,
    features: torch.Tensor,
    labels: torch.Tensor,
    schedule: Schedule,
    training: Training,
    device: str = "cpu",
) -> Params:
    """Minimize the mean cross-entropy of each batch with AdamW.

    Args:
      net: the architecture.
      weights: where training starts.
      features: (n_records, ...) float32, already preprocessed.
      labels: (n_records,) int64.
      schedule: which records are in which batch, and how their images are moved.
      training: learning rate and weight decay.
      device: where to train.

    Returns:
      The trained parameters, on the CPU.
    """
    module = net.module()
    start = {name: value.clone() for name, value in weights.items()}
    module.load_state_dict(start, assign=True)
    records = features.reshape(-1, *net.input_shape)
    return train_module(module, records, labels, schedule, training, device)


def train_module(
    module: nn.Module,
    features: torch.Tensor,
    labels: torch.Tensor,
    schedule: Schedule,
    training: Training,
    device: str = "cpu",
    stopped: Callable[[], bool] = lambda: False,
) -> Params:
    """The same for any module, which is changed; see `train_one`.

    Args:
      module: filled with the weights where training starts.
      features: (n_records, ...) as the module takes them.
      labels: (n_records,) int64.
      schedule: which records are in which batch, and how their images are moved.
      training: learning rate and weight decay.
      device: where to train.
      stopped: asked before every step; True ends the training early (its result is void).
    """
    module.requires_grad_().to(device)
    features, labels = features.to(device), labels.to(device)
    optimizer = torch.optim.AdamW(
        module.parameters(), lr=0.0, weight_decay=training.weight_decay, fused=True
    )
    for step, rows in enumerate(torch.from_numpy(schedule.rows).to(device)):
        if stopped():
            break
        chosen = rows[rows >= 0]
        batch = features[chosen]
        if schedule.motions is not None:
            motions = torch.from_numpy(schedule.motions[step]).to(device)
            batch = moved(batch, motions[rows >= 0])
        optimizer.param_groups[0]["lr"] = training.rate(step, schedule.steps)
        optimizer.zero_grad()
        with mixed(batch.device, training.precision):
            answers = module(batch).float()
        loss = functional.cross_entropy(answers, labels[chosen])
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return {name: value.detach().cpu() for name, value in module.state_dict().items()}
