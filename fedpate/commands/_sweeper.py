"""What our sweeper for Hydra does: points that are done are not run again, numbers stay."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Protocol

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from fedpate.commands._composing import Composer
from fedpate.commands._points import Points, Wanted, command, digest
from fedpate.commands._run_directory import remove_empty


class Observer(Protocol):
    """Is told what a sweep is about to do."""

    def begin(self, points: Points, asked: Sequence[Wanted], missing: Sequence[Wanted]) -> None:
        """Launching begins."""

    def elsewhere(self, processes: int) -> None:
        """From now on points run in so many other processes."""


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

    Raises:
      ConfigError: another process sweeps in the same directory, or the launcher's settings.
      HydraException: settings that cannot be composed; nothing was launched, and nothing is left.
    """
    assert sweeper.config is not None
    points = Points(Path(sweeper.config.hydra.sweep.dir))
    try:
        launcher: Any = sweeper.launcher
        if hasattr(launcher, "check"):
            launcher.check()
        composed = _composed(sweeper, arguments)
    except BaseException:
        remove_empty(points.folder)
        raise
    asked = [(_digest(cfg, point), point) for point, cfg in composed]
    configs = {key: cfg for (key, _), (_, cfg) in zip(asked, composed, strict=True)}
    points.folder.mkdir(parents=True, exist_ok=True)
    with points.locked():
        OmegaConf.save(sweeper.config, points.folder / "multirun.yaml")
        wanted = points.plan(command(arguments), asked)
        missing = points.missing(wanted)
        points.forget(missing)
        observer = _observer.get()
        if observer is not None:
            observer.begin(points, wanted, missing)
        return _launch(sweeper, points, missing, configs)


def _composed(sweeper: BasicSweeper, arguments: list[str]) -> list[tuple[list[str], DictConfig]]:
    """Every combination, and the settings that it gives."""
    assert sweeper.config is not None
    assert sweeper.hydra_context is not None
    loader = sweeper.hydra_context.config_loader
    typed = OverridesParser.create(config_loader=loader).parse_overrides(
        [*sweeper._parse_config(), *arguments]
    )
    (combinations,) = sweeper.split_arguments(typed, None)
    compose = Composer(loader, sweeper.config)
    return [(list(point), compose(point)) for point in combinations]


def _launch(
    sweeper: BasicSweeper,
    points: Points,
    missing: Sequence[Wanted],
    configs: Mapping[str, DictConfig],
) -> Any:
    launcher: Any = sweeper.launcher
    if hasattr(launcher, "launch_points"):  # ours; Hydra loads its plugins' modules a second time
        return launcher.launch_points(points, [(p, configs[p.config]) for p in missing])
    # Others number what they launch in a row, so points with a gap between their numbers are
    # launched one group after the other; after an interruption that is a few points and the rest.
    return [
        launcher.launch([list(p.overrides) for p in batch], batch[0].number)
        for batch in _batches(missing, sweeper.max_batch_size)
    ]


def tell_elsewhere(processes: int) -> None:
    """Points run in other processes from now on."""
    observer = _observer.get()
    if observer is not None:
        observer.elsewhere(processes)


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
