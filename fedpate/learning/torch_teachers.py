"""From shards to trained networks: preprocessing, seeds and schedules around the training loop."""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning.fitted import TorchTeacher
from fedpate.learning.loop import train_one
from fedpate.learning.nets import Net, initial_weights
from fedpate.learning.schedule import Training, make_schedule
from fedpate.records import LabelledData


def fit_all(
    net_for: Callable[[tuple[int, ...], int], Net],
    training: Training,
    shards: Sequence[LabelledData],
    preprocessing: Preprocessing,
    seeds: Sequence[int],
    device: str,
    progress: Callable[[int], None],
) -> list[TorchTeacher]:
    """One network per shard; `progress(1)` after each."""
    fitted = []
    for shard, seed in zip(shards, seeds, strict=True):
        features = preprocessing.apply(shard.features)
        net = net_for(features.shape[1:], shard.n_classes)
        rng = np.random.default_rng(seed)
        params = train_one(
            net,
            initial_weights(net, rng),
            torch.from_numpy(features),
            torch.from_numpy(shard.labels),
            make_schedule(len(shard), training, rng),
            training,
            device,
        )
        fitted.append(TorchTeacher(net, params, preprocessing))
        progress(1)
    return fitted
