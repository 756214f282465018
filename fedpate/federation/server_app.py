"""The coordinator's Flower app: its `main` is the whole run.

Flower uploads what it prints to the SuperLink's log: it prints nothing but counts.
"""

from contextlib import nullcontext
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedpate.federation import coordinator, progress
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
        with reporting(folder / ENDING) if job.followed else nullcontext():
            coordinator.run(job.run, grid, job.output, folder, display)
