"""One run on a running federation: submitted through the thin bundle, followed to its end.

The run's settings lie in a private folder in the coordinator's kit while it runs; hospitals get the
path of that file and nothing of its content but what the coordinator tells them. If this process
ends, the run ends; whatever was trained, answered, charged or released by then is used again by the
next run with the same settings.
"""

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from fedpate.errors import ConfigError, EngineError
from fedpate.federation.deployment import thin
from fedpate.federation.deployment.control import Control
from fedpate.federation.deployment.signatures import Admitted
from fedpate.federation.following import COORDINATOR, FOLLOWER, holding, is_held
from fedpate.federation.job import (
    RUN_FILE_KEY,
    Deployment,
    Job,
    read_ending,
    with_absolute_paths,
)
from fedpate.federation.kit import STATE, CoordinatorKit
from fedpate.federation.progress import Progress, replay
from fedpate.federation.run_directory import unpaid_leaves_nothing
from fedpate.federation.server_app import ENDING, PROGRESS
from fedpate.federation.settings import Run

log = logging.getLogger(__name__)

LEDGER = "ledger.sqlite"
START_S = 120.0  # for the coordinator's process to begin, on a slow machine
END_S = 60.0  # for it to end when it is told to
FOLLOW_S = 0.1


def admitted(kit: CoordinatorKit) -> list[str]:
    """The names of the hospitals that may join."""
    return sorted(Admitted(kit.nodes).names().values())


def deploy(kit: CoordinatorKit, run: Run, out: Path, submitter: str, progress: Progress) -> None:
    """Run one federation of real hospitals; its results are in `out`, `summary.json` last.

    Args:
      kit: of a coordinator that is running.
      run: the settings.
      out: the run directory; made if needed.
      submitter: who asks; hospitals may look at it.
      progress: is told about every stage.

    Raises:
      EngineError: the coordinator is not running, or went away.
      FedPateError: what the run raised.
    """
    deployment = Deployment(
        kit.federation, tuple(admitted(kit)), str(kit.folder / STATE / LEDGER), submitter
    )
    with ExitStack() as inside:
        control = inside.enter_context(_control(kit))
        folder = inside.enter_context(_work_folder(kit))
        inside.enter_context(unpaid_leaves_nothing(out))
        job = Job(with_absolute_paths(run), out.absolute(), folder, True, deployment)
        job.write(folder / "run.json")
        with _following(folder):
            run_id = control.submit(thin.fab(), {RUN_FILE_KEY: str(folder / "run.json")})
            try:
                _follow(folder, progress)
            except BaseException:
                control.stop(run_id)
                raise


def _control(kit: CoordinatorKit) -> Control:
    """The way into a running SuperLink.

    Raises:
      EngineError: there is none.
    """
    try:
        control = Control(kit)
    except ConfigError as error:  # no secret of a start
        raise EngineError(_not_running(kit)) from error
    try:
        control.nodes()
    except EngineError as error:
        control.client.close()
        raise EngineError(_not_running(kit)) from error
    return control


def _not_running(kit: CoordinatorKit) -> str:
    return (
        f"the coordinator of {kit.federation} is not running: "
        f"`fedpate coordinator start {kit.folder}`"
    )


@contextmanager
def _work_folder(kit: CoordinatorKit) -> Iterator[Path]:
    """A private folder, removed afterwards; those that a kill has left are removed before."""
    runs = kit.folder / STATE / "runs"
    runs.mkdir(exist_ok=True, mode=0o700)
    for left in runs.iterdir():
        if not (is_held(left / FOLLOWER) or is_held(left / COORDINATOR)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=runs))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _following(folder: Path) -> Iterator[None]:
    """Inside, the coordinator has somebody who waits for it; afterwards it has ended."""
    with holding(folder / FOLLOWER):
        yield
    deadline = time.monotonic() + END_S
    while is_held(folder / COORDINATOR) and time.monotonic() < deadline:
        time.sleep(FOLLOW_S)


def _follow(folder: Path, progress: Progress) -> None:
    """Show progress until the coordinator has ended; raises what it raised."""
    offset, begun, deadline = 0, False, time.monotonic() + START_S
    while True:
        running = is_held(folder / COORDINATOR)
        ended = (folder / ENDING).exists()
        offset = replay(folder / PROGRESS, offset, progress)
        if ended:
            read_ending(folder / ENDING)
            return
        if begun and not running:
            raise EngineError(
                "the coordinator's process ended without a word; the same command goes on where "
                "it stopped, and nothing is charged twice"
            )
        if not begun and time.monotonic() > deadline:
            raise EngineError(f"the run did not begin within {START_S:g} s; is the disk full?")
        begun = begun or running or offset > 0  # it may live shorter than a look takes
        time.sleep(FOLLOW_S)
