"""From shards to trained networks: preprocessing, seeds and schedules around the stacked training.

Networks of equal batch width are trained in stacks of at most `models_at_once`. A network comes out
the same in any stack, so the cut is free to follow memory and cores.
"""

import math
from collections.abc import Callable, Sequence
from itertools import groupby, pairwise

import numpy as np
import torch

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning import parallel
from fedpate.learning.ensemble import Member, train_stack
from fedpate.learning.fitted import TorchTeacher
from fedpate.learning.nets import Net, initial_params
from fedpate.learning.schedule import Training, make_schedule
from fedpate.records import LabelledData

TRAINING_BYTES = 2**30  # for all the stacks that are in training at the same time
MOST_ON_CPU = 25  # larger stacks save no more overhead
# What a step reads and writes: beyond, a CPU waits for memory.
CACHED_BYTES = 6 * 2**20


def fit_all(
    net_for: Callable[[tuple[int, ...], int], Net],
    training: Training,
    shards: Sequence[LabelledData],
    preprocessing: Preprocessing,
    seeds: Sequence[int],
    device: str,
    finished: Callable[[int, TorchTeacher], None],
) -> None:
    """One network per shard.

    Args:
      net_for: (shape of a preprocessed record, n_classes) -> the architecture.
      training: settings.
      shards: at least one record each, all of one shape.
      preprocessing: applied here, and kept in the result.
      seeds: one per shard: its initial weights, its batch order, its augmentation.
      device: a torch device.
      finished: gets each network with its place in `shards`, in the thread that trained it.
    """
    if not shards:
        return
    record_shape = preprocessing.apply(shards[0].features[:1]).shape[1:]
    net = net_for(record_shape, shards[0].n_classes)

    def train(stack: Sequence[int], stopped: parallel.Stopped) -> None:
        members = [
            _prepare(net, training, shards[index], preprocessing, seeds[index]) for index in stack
        ]
        trained = train_stack(net, members, training, device, stopped)
        if stopped():  # what was cut short must not be kept
            return
        for index, params in zip(stack, trained, strict=True):
            finished(index, TorchTeacher(net, params, preprocessing))

    stacks = cut_into_stacks(net, training, [len(shard) for shard in shards], device)
    parallel.run_all(train, stacks)


def cut_into_stacks(
    net: Net, training: Training, sizes: Sequence[int], device: str
) -> list[list[int]]:
    """Which networks train together: lists of indices of equal batch width.

    At least one stack per core where there are enough networks, and no stack of more than
    `models_at_once`; stacks of one width differ by at most one network.
    """

    def width(index: int) -> int:
        return training.width(sizes[index])

    # Longest trainings first: neighbours then end together, and the last stack is a short one.
    order = sorted(range(len(sizes)), key=lambda i: (width(i), -training.steps(sizes[i]), i))
    stacks: list[list[int]] = []
    for _, equal in groupby(order, key=width):
        indices = list(equal)
        most = models_at_once(net, training, max(sizes[index] for index in indices), device)
        n_stacks = -(-len(indices) // most)
        if torch.device(device).type == "cpu":
            n_stacks = max(n_stacks, min(parallel.cores(), len(indices)))
        cuts = [len(indices) * cut // n_stacks for cut in range(n_stacks + 1)]
        stacks += [indices[a:b] for a, b in pairwise(cuts)]
    return stacks


def models_at_once(net: Net, training: Training, n_records: int, device: str) -> int:
    """How many networks with up to so many records each fit into one stack."""
    fit = TRAINING_BYTES // parallel.cores() // bytes_per_model(net, training, n_records)
    if torch.device(device).type == "cpu":
        # The activations of one batch; weights, gradients and the optimizer's two moments.
        numbers = max(training.width(n_records) * net.activations, 4 * net.n_parameters)
        fit = min(fit, MOST_ON_CPU, CACHED_BYTES // (4 * numbers))
    return max(1, fit)


def bytes_per_model(net: Net, training: Training, n_records: int) -> int:
    """Memory that one network's training takes, everything included.

    Seven float32 copies of the parameters (initial, current, trained, two moments, gradients before
    and after they are gathered), two of the shard (its own and the stack's table), three of a
    batch's activations (forward, gradients, one in flight), and the schedule of all steps (row
    number, weight and motion of each place in a batch) twice.
    """
    places = training.width(n_records)
    record = math.prod(net.record_shape)
    numbers = 7 * net.n_parameters + 2 * n_records * record + 3 * places * net.activations
    schedule = training.steps(n_records) * places * (8 + 4 + (24 if training.moves_images else 0))
    return 4 * numbers + 2 * schedule


def _prepare(
    net: Net, training: Training, shard: LabelledData, preprocessing: Preprocessing, seed: int
) -> Member:
    rng = np.random.default_rng(seed)
    return Member(
        initial_params(net, rng),
        torch.from_numpy(preprocessing.apply(shard.features)).reshape(-1, *net.input_shape),
        torch.from_numpy(shard.labels),
        make_schedule(len(shard), training, rng, images=bool(net.blocks)),
    )
