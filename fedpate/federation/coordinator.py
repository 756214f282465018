"""The whole job, on one page.

The order is the guarantee: nobody is bothered before the ledger says that it can be paid, and no
noise is drawn, so no label exists, before the charge is on the disk. With trust=local the answers
themselves are what leaves, so the charge comes before the question.
"""

from pathlib import Path
from typing import Any

from flwr.serverapp import Grid

from fedpate.federation import evaluation, pricing, rounds, student_files
from fedpate.federation.baselines import compare
from fedpate.federation.details import detail
from fedpate.federation.members import Members
from fedpate.federation.progress import Progress
from fedpate.federation.purchase import Purchase
from fedpate.federation.run_directory import RunDirectory, unpaid_leaves_nothing
from fedpate.federation.settings import Run
from fedpate.federation.side import Side
from fedpate.federation.summary import Outcome, summarize
from fedpate.federation.timing import Clock


def run(run: Run, side: Side, grid: Grid, out: Path, progress: Progress) -> dict[str, Any]:
    """Run one federation, from public records to run directory.

    Args:
      run: the settings.
      side: what the coordinator has (`site.coordinator_side`).
      grid: any of Flower's grids, with the hospitals behind it.
      out: the run directory.
      progress: is told about every stage.

    Returns:
      What `summary.json` holds.

    Raises:
      ConfigError, DataError: a setting or the data; nothing has run.
      NothingReleased: over budget, or too few hospitals.
    """
    clock = Clock()
    n_queries = sum(rounds.sizes(run, len(side.pool)))
    mechanism = pricing.calibrated(run, n_queries, side.n_classes)
    quorum = run.min_hospitals or side.n_hospitals
    waits = {"join_s": run.join_s, "reply_s": run.reply_s}
    members = Members(grid, side.hospitals, quorum, progress, **waits)

    with (
        unpaid_leaves_nothing(out),
        RunDirectory(out, side.ledger, side.federation) as directory,
    ):
        ledger = directory.ledger
        purchase = Purchase(run, side, mechanism, ledger, members, progress, clock)
        bought = rounds.buy(run, side, purchase)
        release, votes = bought.release, bought.votes
        with clock("student_s"):
            student = evaluation.train_student(run, side, release, progress)
        patient = ledger.epsilon("patient", run.privacy.delta)
        baselines = compare(run, side, release, members.voters, patient, progress)
        outcome = Outcome(
            mechanism=mechanism,
            members=members,
            spent={unit: ledger.spent(unit) for unit in pricing.UNITS},
            release=release,
            votes=votes,
            from_cache=bought.from_cache,
            student=evaluation.score(student, side.test),
            hospital_mean=evaluation.hospital_mean(student, side),
            baselines=baselines.scores,
            alone=baselines.alone,
        )
        summary = summarize(run, side, outcome, clock)
        details = detail(run, side, outcome, ledger)
        shown = None if side.truth is None else votes  # real hospitals' votes are not kept
        directory.publish(release, student_files.saver(side, student), shown, summary, details)
    return summary
