"""One simulation, from composed settings to a run directory with its report."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedpate.commands._tracking import track

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from fedpate.federation.progress import Progress
    from fedpate.federation.settings import Run


def simulate(
    cfg: "DictConfig", overrides: list[str], folder: Path, progress: "Progress"
) -> dict[str, Any]:
    """Build the run, run it, write the report; returns what summary.json holds.

    Raises:
      FedPateError: a setting is refused, or the run.
    """
    from fedpate import config

    run = config.build(cfg, overrides)  # every setting is checked here, before any data is read
    from fedpate.federation import engines
    from fedpate.report import page

    engines.simulate(run, folder, progress)
    page.write(folder)
    track(run, folder)
    if run.audit.leave_one_out:
        _leave_one_out(run)
    return read(folder)


def read(folder: Path) -> dict[str, Any]:
    """What the summary.json of a finished run holds."""
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return summary


def _leave_one_out(run: "Run") -> None:
    from fedpate.commands import _output
    from fedpate.federation.leave_one_out import leave_one_out

    left = leave_one_out(run)
    _output.complain(
        f"one patient left out: {left.teachers_changed} of {left.teachers} teachers changed, "
        f"in {left.votes_changed} of their votes on {left.queries} queries"
    )
