"""Hydra under a verb: run directories, sweeps and `--cfg`, and refusals in our own words."""

import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from fedpate import config
from fedpate._conf import HYDRA
from fedpate.commands._points import Ended, Points, digest
from fedpate.commands._run_directory import discard_unfinished
from fedpate.errors import ConfigError, FedPateError

Task = Callable[[DictConfig, list[str], Path], None]  # composed settings, overrides, run directory

LEVEL = "FEDPATE_CONSOLE_LEVEL"  # in the environment: other processes of a sweep read it too

log = logging.getLogger(__name__)


@contextmanager
def few_lines() -> Iterator[None]:
    """Inside, also where there is no terminal, stages are told to the log file only."""
    before = os.environ.get(LEVEL)
    os.environ.setdefault(LEVEL, "WARNING")
    try:
        yield
    finally:
        if before is None:
            del os.environ[LEVEL]


class Jobs:
    """Runs a task as Hydra's job function and remembers what was refused.

    A refusal must not travel through Hydra: it would print a page around it. How a point of a sweep
    ended is written down in the sweep's directory, because a launcher may run it in another
    process; nothing but Ctrl-C in one point stops the others.
    """

    def __init__(self, task: Task) -> None:
        self._task, self._since = task, time.time() - 1  # file systems round their clocks
        self.inside = False  # a job has begun and not ended well: what is raised is our own fault
        self.refused: list[tuple[str, FedPateError]] = []

    def __call__(self, cfg: DictConfig) -> None:
        """One job."""
        self.inside = True
        logging.captureWarnings(capture=True)
        settings = HydraConfig.get()
        folder = Path(settings.runtime.output_dir)
        overrides = list(settings.overrides.task)
        sweep = settings.mode == RunMode.MULTIRUN
        try:
            self._task(cfg, overrides, folder)
        except FedPateError as error:
            discard_unfinished(folder, self._since)
            if sweep:
                _record(cfg, overrides, folder, str(error), error.exit_code)
            else:
                self.refused.append((" ".join(overrides), error))
        except BaseException as error:
            if sweep and isinstance(error, Exception):
                log.exception("point %s failed", settings.job.num)
                _record(cfg, overrides, folder, f"a bug: {type(error).__name__}", 1)
            else:
                if not discard_unfinished(folder, self._since):
                    log.warning("kept %s, which holds what was paid for", folder)
                raise
        else:
            if sweep:
                _record(cfg, overrides, folder)
        self.inside = False


def _record(
    cfg: DictConfig, overrides: list[str], folder: Path, error: str | None = None, code: int = 0
) -> None:
    """Write down how a point ended."""
    settings = HydraConfig.get()
    sweep = Path(settings.runtime.cwd) / settings.sweep.dir
    name = os.path.relpath(folder, sweep)
    Points(sweep).record(
        Ended(settings.job.num, digest(cfg, overrides), tuple(overrides), name, error, code)
    )


def run(verb: str, args: Sequence[str], task: Task) -> list[tuple[str, FedPateError]]:
    """Compose the settings and run the task, once or for every point of a sweep.

    Returns:
      What a single run was refused for, (overrides, why); a sweep writes it down for its points.

    Raises:
      ConfigError: the settings cannot be composed, or the run directory cannot be written.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions come here instead of to the terminal
    level = "WARNING" if sys.stderr.isatty() else "INFO"  # a terminal has a progress bar instead
    os.environ.setdefault(LEVEL, level)
    sys.argv = [f"fedpate {verb}", *args]
    config.register()
    jobs = Jobs(task)
    start = hydra.main(version_base=HYDRA, config_path=str(config.CONF), config_name="config")
    try:
        start(jobs.__call__)()
    except FedPateError:  # of the sweeper: it is in our words already
        raise
    except (HydraException, OmegaConfBaseException) as error:
        if jobs.inside:
            raise
        overrides = [arg for arg in args if not arg.startswith("-")]
        raise config.explain(error, "config", overrides) from error
    except (OSError, ValueError) as error:  # ValueError: the log file could not be opened
        if jobs.inside:
            raise
        if str(error).startswith("Only one of"):  # --multirun, --cfg, ...
            raise ConfigError(str(error)) from error
        reason = getattr(error.__cause__ or error, "strerror", None) or str(error)
        place = getattr(error.__cause__ or error, "filename", None)
        raise ConfigError(
            f"hydra.run.dir must be a directory that can be written: {reason}"
            + (f" ({place})" if place else "")
        ) from error
    return jobs.refused
