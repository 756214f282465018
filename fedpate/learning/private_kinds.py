"""Settings of teachers that are differentially private themselves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fedpate import _check
from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import ConfigError
from fedpate.learning.kinds import check_channels, check_widths
from fedpate.learning.schedule import Training
from fedpate.privacy.entropy import Entropy, OsEntropy
from fedpate.records import LabelledData

if TYPE_CHECKING:
    from fedpate.learning.kinds import Finished
    from fedpate.learning.nets import Net


@dataclass(frozen=True)
class DpSgd:
    """A small network by DP-SGD: (target_epsilon, delta)-DP for each of its patients, replace-one.

    Formal guarantees (`fedpate.privacy.dpsgd` has the proof):
      - one record of each patient is used, so a patient is a record;
      - the whole network is private, so any number of answers is, without noise on the vote;
      - the same trained network answers for ever: a second training would be a second charge.
    """

    name: ClassVar[str] = "dpsgd"
    library: ClassVar[str] = "opacus"
    private: ClassVar[bool] = True
    target_epsilon: float = 4.0  # per patient, replace-one, at `delta`; sets the noise
    delta: float = 1e-5
    hidden: tuple[int, ...] = ()  # widths of the hidden layers
    channels: tuple[int, ...] = ()  # of convolutions, for images; none: records are rows
    max_grad_norm: float = 1.0  # L2 norm to which each record's gradient is clipped
    epochs: int = 20
    min_steps: int = 50
    max_steps: int = 2000
    batch_size: int = 64  # expected: batches are drawn record by record
    learning_rate: float = 0.5
    momentum: float = 0.9

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        object.__setattr__(self, "channels", tuple(self.channels))
        check_widths("teacher.hidden", self.hidden)
        if self.channels:
            check_channels("teacher.channels", self.channels)
        _check.open_unit(**{"teacher.delta": self.delta})
        _check.positive(**{"teacher.target_epsilon": self.target_epsilon})
        _check.positive(**{"teacher.max_grad_norm": self.max_grad_norm})
        if not 0 <= self.momentum < 1:
            raise ConfigError(f"teacher.momentum must be in [0, 1), got {self.momentum!r}")
        Training.of(self).check("teacher")

    def net(self, record_shape: tuple[int, ...], n_classes: int) -> "Net":
        """The architecture for preprocessed records of this shape."""
        from fedpate.learning import nets

        if self.channels:
            return nets.cnn(record_shape, self.channels, self.hidden, n_classes)
        return nets.mlp(record_shape, self.hidden, n_classes)

    def plan(self, n_records: int) -> tuple[float, int]:
        """(sampling rate, steps) of a training, from the number of records alone."""
        return min(1.0, self.batch_size / n_records), Training.of(self).steps(n_records)

    def fit_all(
        self,
        shards: Sequence[LabelledData],
        preprocessing: Preprocessing,
        seeds: Sequence[int],
        device: str,
        finished: "Finished",
        noise: Callable[[int], Entropy] = lambda _: OsEntropy(),
    ) -> None:
        """One network after the other; `noise` gives a training's coins and noise by its seed."""
        from fedpate.learning import dpsgd_teachers

        entropies = [noise(seed) for seed in seeds]
        dpsgd_teachers.fit_all(self, shards, preprocessing, seeds, entropies, device, finished)
