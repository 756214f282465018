"""Networks that are too large to be stacked: one plain loop each, from a closed list.

They have what the stacked ones have: initial weights, batches and augmentation from the teacher's
seed alone, the preprocessing inside, and answers in bounded memory.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import nn

from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import ConfigError
from fedpate.learning import parallel
from fedpate.learning.loop import train_module
from fedpate.learning.nets import Params
from fedpate.learning.schedule import Training, make_schedule
from fedpate.learning.stored_format import Arrays, split_preprocessing, with_preprocessing
from fedpate.records import Features, Floats, Ints, LabelledData

log = logging.getLogger(__name__)

ARCHITECTURES = ("resnet18",)
SMALL_SIDE = 64  # pixels; below, a stride in the first convolution would leave nothing to see
GROUPS = 32  # of channels that are normalized together
ANSWER_BYTES = 2**26  # of the largest activations, when a network is asked


@dataclass(frozen=True)
class Architecture:
    """One of `ARCHITECTURES`, sized by the data."""

    name: str
    image_shape: tuple[int, int, int]  # (channels, rows, columns)
    n_classes: int

    @classmethod
    def of(cls, name: str, record_shape: tuple[int, ...], n_classes: int) -> "Architecture":
        """For records of this shape; raises ConfigError unless they are images."""
        if len(record_shape) not in (2, 3):
            raise ConfigError(
                f"teacher={name} needs images of shape (rows, columns) or (channels, rows, "
                f"columns), got records of shape {tuple(record_shape)}"
            )
        depth, rows, columns = (1, *record_shape)[-3:]
        return cls(name, (depth, rows, columns), n_classes)

    def module(self) -> nn.Module:
        """The network without weights: `load_state_dict(..., assign=True)` fills it."""
        from torchvision.models import resnet18

        depth, rows, columns = self.image_shape
        with torch.device("meta"):  # no draw from torch's global generator
            network: nn.Module = resnet18(
                weights=None,
                num_classes=self.n_classes,
                norm_layer=lambda channels: nn.GroupNorm(GROUPS, channels),
            )
            if min(rows, columns) < SMALL_SIDE:
                network.conv1 = nn.Conv2d(depth, 64, 3, 1, 1, bias=False)
            else:
                network.conv1 = nn.Conv2d(depth, 64, 7, 2, 3, bias=False)
        return network.eval()

    def initial(self, rng: np.random.Generator) -> Params:
        """He initialization, uniform, from `rng` alone; normalizations start as the identity."""
        params: Params = {}
        for name, value in self.module().named_parameters():
            shape = tuple(value.shape)
            if len(shape) == 1:  # a bias, or a scale
                normalizes = name.endswith("weight")
                params[name] = torch.ones(shape) if normalizes else torch.zeros(shape)
            else:
                bound = math.sqrt(6 / math.prod(shape[1:]))
                drawn = rng.uniform(-bound, bound, shape).astype(np.float32)
                params[name] = torch.from_numpy(drawn)
        return params

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a file's header."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "Architecture":
        """Read what `to_dict` wrote."""
        return cls(fields["name"], tuple(fields["image_shape"]), fields["n_classes"])


@dataclass(frozen=True, eq=False)
class ModuleTeacher:
    """One trained network of `ARCHITECTURES`."""

    suffix: ClassVar[str] = ".module"
    architecture: Architecture
    params: Params
    preprocessing: Preprocessing

    @property
    def n_classes(self) -> int:
        """Number of classes of the federation."""
        return self.architecture.n_classes

    def votes(self, features: Features, device: str = "cpu") -> Ints:
        """Arg max of the logits; the first of equal ones."""
        return self._logits(features, device).argmax(dim=1).numpy()

    def probabilities(self, features: Features, device: str = "cpu") -> Floats:
        """Softmax of the logits."""
        return torch.softmax(self._logits(features, device).double(), dim=1).numpy()

    def to_file(self) -> tuple[Any, Arrays]:
        """The architecture, the weights and the preprocessing."""
        weights = {name: values.numpy() for name, values in self.params.items()}
        return self.architecture.to_dict(), with_preprocessing(self.preprocessing, weights)

    @classmethod
    def from_file(cls, header: Any, arrays: Arrays) -> Self:
        """Read what `to_file` gave."""
        preprocessing, weights = split_preprocessing(arrays)
        params = {name: torch.from_numpy(values.copy()) for name, values in weights.items()}
        return cls(Architecture.from_dict(header), params, preprocessing)

    def _logits(self, features: Features, device: str) -> torch.Tensor:
        """(n, ...) -> (n, n_classes) on the CPU, in chunks that bound the activations."""
        module = self.architecture.module()
        module.load_state_dict(self.params, assign=True)
        module.to(device)
        _, rows, columns = shape = self.architecture.image_shape
        step = max(1, ANSWER_BYTES // (4 * 64 * rows * columns))
        found = torch.empty(len(features), self.n_classes)
        with torch.inference_mode():
            for at in range(0, len(features), step):
                prepared = self.preprocessing.apply(features[at : at + step])
                images = torch.from_numpy(prepared).reshape(-1, *shape).to(device)
                found[at : at + step] = module(images)
        return found


def fit_all(
    name: str,
    training: Training,
    shards: Sequence[LabelledData],
    preprocessing: Preprocessing,
    seeds: Sequence[int],
    device: str,
    finished: Callable[[int, ModuleTeacher], None],
) -> None:
    """One network per shard, each by the plain loop; as many at a time as there are cores.

    Args:
      name: one of ARCHITECTURES.
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
    architecture = Architecture.of(name, record_shape, shards[0].n_classes)
    log.info("teacher=%s is not stacked: %d networks, one plain loop each", name, len(shards))

    def train(index: int, stopped: parallel.Stopped) -> None:
        shard, rng = shards[index], np.random.default_rng(seeds[index])
        module = architecture.module()
        module.load_state_dict(architecture.initial(rng), assign=True)
        images = torch.from_numpy(preprocessing.apply(shard.features))
        records = images.reshape(-1, *architecture.image_shape)
        schedule = make_schedule(len(shard), training, rng, images=True)
        labels = torch.from_numpy(shard.labels)
        params = train_module(module, records, labels, schedule, training, device, stopped)
        if not stopped():  # what was cut short must not be kept
            finished(index, ModuleTeacher(architecture, params, preprocessing))

    parallel.run_all(train, range(len(shards)))
