"""The coordinator's Flower app: its `main` is the whole run.

Flower uploads what it prints to the SuperLink's log: it prints nothing but counts.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedpate.errors import EngineError
from fedpate.federation import coordinator, progress, site
from fedpate.federation.following import followed
from fedpate.federation.job import RUN_FILE_KEY, Job, reporting

ENDING = "ending.json"
PROGRESS = "progress.jsonl"

app = ServerApp()


@contextmanager
def _superlink_in_words() -> Iterator[None]:
    """A SuperLink that goes away is no bug of the run, which can go on later."""
    try:
        yield
    except httpx.HTTPError as error:
        raise EngineError(
            f"Flower's SuperLink went away during the run ({type(error).__name__}); the same "
            "command goes on where it stopped, and nothing is charged twice"
        ) from error


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Read the run file and run it."""
    job = Job.read(Path(str(context.run_config.get(RUN_FILE_KEY, ""))))
    with job.work_folder() as folder:
        display = progress.FileProgress(folder / PROGRESS) if job.followed else progress.current()
        with ExitStack() as inside:
            if job.deployment is not None:
                inside.enter_context(followed(folder))
            if job.followed:
                inside.enter_context(reporting(folder / ENDING))
            inside.enter_context(_superlink_in_words())
            side = site.coordinator_side(job.run, folder, job.deployment)
            coordinator.run(job.run, side, grid, job.output, display)
