"""What carries the messages of a simulation; the same two app objects run in every engine."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flwr.app import Context, RecordDict

from fedpate.data.federated import federate
from fedpate.errors import ConfigError
from fedpate.federation import client_app, overrides, server_app, site
from fedpate.federation.engines import flower
from fedpate.federation.engines.identity import COORDINATOR_NODE, acting_as_coordinator
from fedpate.federation.engines.inprocess import InProcessGrid
from fedpate.federation.engines.local_grid import LocalGrid
from fedpate.federation.engines.pool import PoolGrid, worker_pool
from fedpate.federation.engines.together import train_together
from fedpate.federation.job import RUN_FILE_KEY, Job, with_absolute_paths
from fedpate.federation.progress import LogProgress, Progress, showing
from fedpate.federation.settings import Run
from fedpate.learning import extras

CLIENT_APP = "fedpate.federation.client_app:app"


def simulate(run: Run, out: Path, progress: Progress | None = None) -> None:
    """Run one simulated federation; its results are in `out`, `summary.json` last.

    No process, no temporary folder and no half-written run is left behind, also after Ctrl-C or
    SIGTERM (which raises KeyboardInterrupt here).

    Args:
      run: the settings, among them the engine.
      out: the run directory; made if needed.
      progress: is told about every stage; log lines if None.

    Raises:
      FedPateError: bad input, over budget, too few hospitals, or an engine that failed.
    """
    run, display = with_absolute_paths(run), progress or LogProgress()
    _require_device(run.device)
    # Bad data stop the run here, before anything is started, whatever the engine.
    data = federate(run.data, run.partition, run.hospitals, run.teachers_per_hospital, run.seed)
    n_hospitals = data.partition.n_hospitals
    _require_teachers(run, n_hospitals)
    with (
        _interruptible(),
        _verbosity(run.verbose),
        tempfile.TemporaryDirectory(prefix="fedpate-") as folder,
    ):
        job = Job(run, out.absolute(), Path(folder), followed=run.engine == "flower")
        run_file = Path(folder) / "run.json"
        job.write(run_file)
        if run.engine == "flower":
            flower.run(job, run_file, n_hospitals, display)
        elif run.engine == "pool":
            with worker_pool(n_hospitals) as workers:
                _run_here(PoolGrid(workers, CLIENT_APP, n_hospitals), run_file, display)
        else:
            grid = InProcessGrid(client_app.app, n_hospitals, train_together)
            _run_here(grid, run_file, display)


def _require_device(device: str) -> None:
    """Raise ConfigError if torch does not find the device here."""
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device must exist on this machine, got {device!r}") from error


def _require_teachers(run: Run, n_hospitals: int) -> None:
    """Raise ConfigError if a library, a program or a model that some teacher needs is not here."""
    names = [site.simulated_name(index) for index in range(n_hospitals)]
    overrides.require_hospitals(run.hospital_overrides, names)
    for name in names:
        teacher, models = overrides.teacher_of(run, name)
        extras.require(teacher.library)
        models.require(teacher.name)


def _run_here(grid: LocalGrid, run_file: Path, progress: Progress) -> None:
    """The coordinator's app in this process, as Flower would call it."""
    run_id = grid.run.run_id
    context = Context(run_id, COORDINATOR_NODE, {}, RecordDict(), {RUN_FILE_KEY: str(run_file)})
    with acting_as_coordinator(run_id), showing(progress):
        server_app.app(grid, context)


@contextmanager
def _verbosity(verbose: bool) -> Iterator[None]:
    """Simulated hospitals show their logs if asked to, in whichever process they are."""
    before = os.environ.get(site.VERBOSE)
    os.environ[site.VERBOSE] = "1" if verbose else "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[site.VERBOSE]
        else:
            os.environ[site.VERBOSE] = before


@contextmanager
def _interruptible() -> Iterator[None]:
    """Inside, SIGTERM is Ctrl-C: everything is cleaned up on the way out."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
