"""The coordinator's Flower app: its `main` is the whole run.

Flower uploads what it prints to the SuperLink's log: it prints nothing but counts.
"""

from contextlib import ExitStack
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedpate.federation import coordinator, progress, site
from fedpate.federation.following import followed
from fedpate.federation.job import RUN_FILE_KEY, Job, reporting

ENDING = "ending.json"
PROGRESS = "progress.jsonl"

app = ServerApp()


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
            side = site.coordinator_side(job.run, folder, job.deployment)
            coordinator.run(job.run, side, grid, job.output, display)
