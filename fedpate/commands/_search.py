"""What `fedpate tune` may choose from, in Hydra's own grammar of sweeps."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from fedpate import config
from fedpate.errors import ConfigError

if TYPE_CHECKING:
    from optuna import Trial


class Space:
    """Settings that are searched, and those that stay.

    `mechanism=gnmax,laplace` is a choice, `queries=range(50,301,50)` has an order, and
    `privacy.target_epsilon=interval(0.5,8)` or `tag(log,interval(0.5,8))` is continuous.
    """

    def __init__(self, overrides: Sequence[str]) -> None:
        parsed = list(zip(overrides, config.parse(overrides), strict=True))
        self.fixed = [text for text, override in parsed if not override.is_sweep_override()]
        self.searched = [override for _, override in parsed if override.is_sweep_override()]
        if not self.searched:
            raise ConfigError(
                "tune needs something to choose from, such as mechanism=gnmax,laplace or "
                "'privacy.target_epsilon=interval(0.5,8)'"
            )

    def suggest(self, trial: "Trial") -> list[str]:
        """The overrides of one trial."""
        chosen = [f"{o.get_key_element()}={_value(trial, o)}" for o in self.searched]
        return [*self.fixed, *chosen]


def _value(trial: "Trial", override: Override) -> object:
    key, sweep = override.get_key_element(), override.value()
    if isinstance(sweep, IntervalSweep):
        low, high, log = float(sweep.start or 0), float(sweep.end or 0), "log" in sweep.tags
        if not low < high or (log and low <= 0):
            raise ConfigError(
                f"{key} must be an interval(low,high) with low < high, and above 0 if tagged log"
            )
        return trial.suggest_float(key, low, high, log=log)
    values = list(override.sweep_string_iterator())
    if isinstance(sweep, RangeSweep) and not sweep.shuffle and all(map(_whole, values)):
        first, last = int(values[0]), int(values[-1])
        step = int(values[1]) - first if len(values) > 1 else 1
        if step > 0:
            return trial.suggest_int(key, first, last, step=step)
    return trial.suggest_categorical(key, values)


def _whole(text: str) -> bool:
    return text.lstrip("-").isdecimal()
