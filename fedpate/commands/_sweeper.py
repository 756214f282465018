"""What our sweeper for Hydra does: points that are done are not run again, numbers stay."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol, cast

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from fedpate.commands._points import Points, Wanted, command, digest


class Observer(Protocol):
    """Is told what a sweep is about to do."""

    def begin(self, points: Points, asked: Sequence[Wanted], missing: Sequence[Wanted]) -> None:
        """Launching begins."""


_observer: ContextVar[Observer | None] = ContextVar("observer", default=None)


@contextmanager
def observed_by(observer: Observer) -> Iterator[None]:
    """Inside, sweeps of this thread tell `observer`: Hydra makes the sweeper and keeps it."""
    token = _observer.set(observer)
    try:
        yield
    finally:
        _observer.reset(token)


def sweep(sweeper: BasicSweeper, arguments: list[str]) -> Any:
    """Launch what is missing, through whichever launcher.

    Launchers number what they launch in a row, so points with a gap between their numbers are
    launched one group after the other; after an interruption that is a few points and the rest.

    Raises:
      ConfigError: another process sweeps in the same directory.
      HydraException: settings that cannot be composed; nothing was launched.
    """
    assert sweeper.config is not None
    assert sweeper.launcher is not None
    assert sweeper.hydra_context is not None
    parser = OverridesParser.create(config_loader=sweeper.hydra_context.config_loader)
    typed = parser.parse_overrides([*sweeper._parse_config(), *arguments])
    (combinations,) = sweeper.split_arguments(typed, None)
    loader = sweeper.hydra_context.config_loader
    configs = {
        tuple(point): loader.load_sweep_config(sweeper.config, point) for point in combinations
    }
    asked = [(_digest(cfg, point), point) for point, cfg in configs.items()]
    points = Points(Path(sweeper.config.hydra.sweep.dir))
    points.folder.mkdir(parents=True, exist_ok=True)
    with points.locked():
        OmegaConf.save(sweeper.config, points.folder / "multirun.yaml")
        wanted = points.plan(command(arguments), asked)
        missing = points.missing(wanted)
        points.forget(missing)
        observer = _observer.get()
        if observer is not None:
            observer.begin(points, wanted, missing)
        # By name: Hydra loads its own plugins' modules a second time.
        if type(sweeper.launcher).__name__ == "BasicLauncher":
            context = HydraContext(cast(Any, _Composed(configs)), sweeper.hydra_context.callbacks)
            cast(Any, sweeper.launcher).hydra_context = context
        return [
            sweeper.launcher.launch([list(p.overrides) for p in batch], batch[0].number)
            for batch in _batches(missing, sweeper.max_batch_size)
        ]


class _Composed:
    """Gives the launcher of this process what was composed already: it takes longer than a vote."""

    def __init__(self, configs: Mapping[tuple[str, ...], DictConfig]) -> None:
        self._configs = configs

    def load_sweep_config(self, _: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """The configuration of one point."""
        return self._configs[tuple(sweep_overrides)]


def _digest(cfg: DictConfig, overrides: Sequence[str]) -> str:
    settings = OmegaConf.masked_copy(cfg, [key for key in map(str, cfg) if key != "hydra"])
    return digest(settings, overrides)


def _batches(missing: Sequence[Wanted], most: int | None) -> Iterator[list[Wanted]]:
    """Points with consecutive numbers together, at most so many of them."""
    numbered = enumerate(sorted(missing, key=lambda point: point.number))
    for _, group in itertools.groupby(numbered, key=lambda pair: pair[1].number - pair[0]):
        members = [point for _, point in group]
        size = most or len(members)
        for start in range(0, len(members), size):
            yield members[start : start + size]
