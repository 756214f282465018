"""`fedpate simulate -m`: every point, then the table, the CSV file and the pictures of them all."""

import os
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fedpate.commands import _compare, _hydra, _one_run, _output
from fedpate.commands._sweep_display import Sweep, tell_point
from fedpate.commands._sweeper import observed_by
from fedpate.federation.progress import LogProgress
from fedpate.report import words

if TYPE_CHECKING:
    from omegaconf import DictConfig

_launched: ContextVar[Sweep | None] = ContextVar("launched", default=None)


def main(args: Sequence[str], *, as_json: bool) -> int:
    """Run what is missing of a sweep and show all of it; returns the exit code.

    Raises:
      ConfigError: settings that cannot be composed, or another process sweeps in this directory.
    """
    sweep = Sweep()
    token = _launched.set(sweep)
    try:
        with observed_by(sweep), sweep.shown(), _hydra.few_lines():
            _hydra.run("simulate", args, PointTask(os.getpid()))
    finally:
        _launched.reset(token)
    if sweep.points is None:  # --cfg and the like run nothing
        return 0
    _compare.finish(sweep.points, as_json=as_json)
    ended = sweep.points.ended()
    failed = [ended[p.config] for p in sweep.asked if p.config in ended and ended[p.config].error]
    for point in failed:
        _output.complain(f"fedpate simulate: refused {' '.join(point.overrides)}: {point.error}")
    return failed[0].exit_code if failed else 0


@dataclass(frozen=True)
class PointTask:
    """Runs one point, in this process or in one of a launcher's."""

    owner: int  # the process that shows how far the sweep is

    def __call__(self, cfg: "DictConfig", overrides: list[str], folder: Path) -> None:
        """One point; a finished one of which only the record was lost is not run again."""
        sweep = _launched.get() if os.getpid() == self.owner else None
        progress = LogProgress() if sweep is None else sweep.point(overrides)
        if (folder / "summary.json").is_file():
            summary = _one_run.read(folder)
        else:
            summary = _one_run.simulate(cfg, overrides, folder, progress)
        tell_point(f"{' '.join(overrides)}: {words.one_line(summary)}", sweep)
