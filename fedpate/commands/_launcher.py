"""What our launcher for Hydra does: several points of a sweep at once, on one machine.

Points that need the same teachers share them through the store. So the first point of every set of
teachers is run before the others: in this process, with all cores, where there are fewer such
points than processes.
"""

import json
import os
from collections.abc import Sequence
from typing import Any, cast

from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.utils import JobRuntime, configure_log, setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict

from fedpate.commands._points import SUMMARY, Ended, Points, Wanted, options
from fedpate.commands._sweeper import tell_elsewhere
from fedpate.commands._workers import Work, Workers
from fedpate.errors import ConfigError

Point = tuple[Wanted, DictConfig]  # the settings composed, Hydra's own under `hydra`

MOST = 8  # processes, where no number is asked for: each takes half a gigabyte or more
# What decides which teachers a point has. It sets an order only, so it need not be exact.
OF_TEACHERS = (
    *("data", "partition", "teacher", "hospitals", "teachers_per_hospital", "hospital_overrides"),
    *("models", "seed", "store"),
)
DIED = (
    "its process died: was it out of memory? hydra.launcher.jobs=1 runs one point at a time, and "
    "the same command again what is missing"
)


def launch(launcher: BasicLauncher, points: Points, missing: Sequence[Point]) -> None:
    """Run the points that are missing; how each of them ended is in `points`."""
    assert launcher.config is not None
    assert launcher.hydra_context is not None
    setup_globals()
    for wanted, cfg in missing:
        with open_dict(cfg):
            cfg.hydra.job.id = cfg.hydra.job.num = wanted.number
    jobs = min(_jobs(cast(Any, launcher).jobs, missing), len(missing))
    here, elsewhere = _divided(missing, jobs)
    work = Work(
        cast(Any, launcher.task_function),
        launcher.hydra_context.callbacks,
        str(JobRuntime.instance().get("name")),
        max(1, cores() // max(1, jobs)),
    )

    def died(wanted: Wanted, cfg: DictConfig) -> None:
        folder = cfg.hydra.sweep.subdir
        if not (points.folder / folder / SUMMARY).is_file():  # the last that a run writes
            points.record(Ended(wanted.number, wanted.config, wanted.overrides, folder, DIED, 1))

    with Workers(jobs if elsewhere else 0, work) as workers:
        for _, cfg in here:
            work.do(cfg)
            configure_log(launcher.config.hydra.hydra_logging, launcher.config.hydra.verbose)
        if elsewhere:
            tell_elsewhere(jobs)
            workers.do(elsewhere, died)


def check(jobs: Any) -> None:
    """Raise ConfigError if that is no number of processes; None is all there may be."""
    if jobs is not None and (type(jobs) is not int or jobs < 1):
        raise ConfigError(f"hydra.launcher.jobs must be a whole number >= 1, got {jobs}")


def cores() -> int:
    """`fedpate.learning.parallel.cores`, without torch: this process may never need it."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdecimal() and int(asked):
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _jobs(asked: int | None, missing: Sequence[Point]) -> int:
    """Points at once: what is asked for, or one where they would be in each other's way."""
    if asked is not None:
        return asked
    for _, cfg in missing:
        own_processes, one_ledger = cfg.engine != "inprocess", cfg.privacy.ledger is not None
        if own_processes or one_ledger or cfg.device != "cpu":
            return 1
    return min(cores(), MOST)


def _divided(missing: Sequence[Point], jobs: int) -> tuple[list[Point], list[Point]]:
    """Which points run in this process, one after the other, and which in others."""
    if jobs <= 1:
        return list(missing), []
    first: dict[str, Point] = {}
    for point in missing:
        first.setdefault(_teachers(point[1]), point)
    others = [point for point in missing if point not in first.values()]
    if len(first) < jobs and others:
        return list(first.values()), others
    return [], [*first.values(), *others]


def _teachers(cfg: DictConfig) -> str:
    own = OmegaConf.masked_copy(cfg, list(OF_TEACHERS))
    return json.dumps([options(own), OmegaConf.to_container(own)], sort_keys=True, default=str)
