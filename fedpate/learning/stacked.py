"""Many models of one architecture as one: parameters with a leading model axis, one forward pass.

Dense layers are batched matrix products, convolutions are grouped convolutions. Memory order is
what the kernels like: dense weights are (models, inputs, outputs), convolution weights are
(models, outputs, rows, columns, inputs), images are channels-last with the models side by side in
the channels. A model's numbers do not depend on what is stacked beside it; where a convolution's
channels do not fill whole vector registers (a multiple of `LANES`), their last bit may.
"""

import math
from collections.abc import Sequence

import torch
from torch.nn import functional

from fedpate.learning.nets import Net, Params

Stack = list[torch.Tensor]  # (models, padded size) each: weight, bias, weight, ... in order

LANES = 16  # floats in the widest vector register (AVX-512)


def stack(net: Net, models: Sequence[Params]) -> Stack:
    """Parameters of single models, side by side and in the memory order of this module.

    Each is padded to whole vector registers: a kernel that treats the last few elements of a
    tensor apart rounds them differently, and a model's numbers would depend on its neighbours.
    """
    stacked: Stack = []
    for name in net.shapes():
        values = torch.stack([params[name] for params in models])
        if values.ndim == 5:
            values = values.permute(0, 1, 3, 4, 2)
        elif values.ndim == 3:
            if name == _first_dense_after_convolution(net):
                values = _reflattened(net, values, to_channels_last=True)
            values = values.transpose(1, 2)
        values = values.flatten(1)
        stacked.append(functional.pad(values, (0, -values.shape[1] % LANES)).contiguous())
    return stacked


def unstack(net: Net, stacked: Stack) -> list[Params]:
    """What `stack` took, on the CPU."""
    columns: Params = {}
    for name, values in zip(net.shapes(), shaped(net, stacked), strict=True):
        restored = values.detach().cpu()
        if values.ndim == 5:
            restored = restored.permute(0, 1, 4, 2, 3)
        elif values.ndim == 3:
            restored = restored.transpose(1, 2)
            if name == _first_dense_after_convolution(net):
                restored = _reflattened(net, restored, to_channels_last=False)
        columns[name] = restored
    return [
        {
            name: values[model].clone(memory_format=torch.contiguous_format)
            for name, values in columns.items()
        }
        for model in range(len(stacked[0]))
    ]


def logits(net: Net, stacked: Stack, records: torch.Tensor) -> torch.Tensor:
    """All models' answers: (models, n_classes) for each record.

    Args:
      net: the architecture of every model.
      stacked: from `stack`.
      records: (models, n, *record_shape), each model its own; or (1, n, *record_shape), the same
        records for all models.

    Returns:
      (models, n, n_classes).
    """
    values = shaped(net, stacked)
    pairs = list(zip(values[::2], values[1::2], strict=True))
    hidden = _convolved(net, pairs, records) if net.blocks else records.flatten(2)
    for index, (weight, bias) in enumerate(pairs[len(net.blocks) :]):
        if index:
            hidden = functional.relu(hidden)
        hidden = torch.baddbmm(bias[:, None, :], hidden.expand(len(weight), -1, -1), weight)
    return hidden


def _convolved(
    net: Net, pairs: Sequence[tuple[torch.Tensor, torch.Tensor]], records: torch.Tensor
) -> torch.Tensor:
    """(1 or models, n, *record_shape) -> (models, n, features), rectified."""
    models, n = len(pairs[0][0]), records.shape[1]
    depth, rows, columns = net.image_shape
    images = records.reshape(-1, n, depth, rows, columns).transpose(0, 1).flatten(1, 2)
    groups = images.shape[1] // depth  # 1 where all models look at the same records
    first = pairs[0][0]
    if depth == 1 and groups > 1 and torch.backends.cpu.get_cpu_capability() != "AVX512":
        # With one channel per group, the AVX2 kernel's rounding depends on the number of groups.
        images = functional.pad(images[:, :, None], (0, 0, 0, 0, 0, 1)).flatten(1, 2)
        first = functional.pad(first, (0, 1))
    images = images.contiguous(memory_format=torch.channels_last)
    # A single channel looks like both memory formats; say which, or the slow one is chosen.
    _, width, rows, columns = images.shape
    images = images.as_strided(images.shape, (width * rows * columns, 1, width * columns, width))
    weights = [first, *(weight for weight, _ in pairs[1:])]
    for index, (block, weight) in enumerate(zip(net.blocks, weights, strict=False)):
        if index:
            images = functional.relu(images)
        images = functional.conv2d(
            images,
            weight.permute(0, 1, 4, 2, 3).flatten(0, 1),
            pairs[index][1].flatten(),
            block.stride,
            block.padding,
            groups=groups,
        )
        images = functional.max_pool2d(images, block.pool)
        groups = models
    features = images.permute(0, 2, 3, 1)
    features = features.reshape(*features.shape[:3], models, -1).permute(3, 0, 1, 2, 4)
    # Rectified after the copy that makes rows: the gradient then meets contiguous memory.
    rows_of_features: torch.Tensor = functional.relu(features.flatten(2))
    return rows_of_features


def shaped(net: Net, stacked: Stack) -> Stack:
    """Views of the parameters without padding, in the shapes that the kernels take."""
    views: Stack = []
    for shape, values in zip(net.shapes().values(), stacked, strict=True):
        if len(shape) == 4:
            outputs, inputs, rows, columns = shape
            shape = (outputs, rows, columns, inputs)
        elif len(shape) == 2:
            shape = (shape[1], shape[0])
        size = math.prod(shape)
        own = values if size == values.shape[1] else values[:, :size]
        views.append(own.view(-1, *shape))
    return views


def _first_dense_after_convolution(net: Net) -> str | None:
    """Name of the weights whose inputs are a flattened image; None without convolutions."""
    return list(net.shapes())[2 * len(net.blocks)] if net.blocks else None


def _reflattened(net: Net, weights: torch.Tensor, *, to_channels_last: bool) -> torch.Tensor:
    """Reorder the inputs of (models, outputs, inputs) between the two ways to flatten an image."""
    depth = net.blocks[-1].outputs
    pixels = weights.shape[2] // depth
    split = (depth, pixels) if to_channels_last else (pixels, depth)
    return weights.reshape(*weights.shape[:2], *split).transpose(2, 3).flatten(2)
