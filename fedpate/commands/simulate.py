"""`fedpate simulate`: a simulated federation on this machine, from records to report."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedpate.commands._arguments import for_hydra, take_flag

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from fedpate.federation.settings import Run

HELP = """\
usage: fedpate simulate [SETTING=VALUE ...] [-m] [--json] [--cfg job]

Hospitals train teachers on their own patients, the teachers vote on public records, the
coordinator adds noise and releases the winning labels, and a student learns from those alone. The
privacy price is charged to a ledger before a label exists. Writes a run directory with
summary.json and report.html.

settings (all of them: fedpate simulate --cfg job)
  hospitals=10 teachers_per_hospital=5 queries=100 seed=0
  data=breast_cancer|digits|mnist|fashion_mnist|heart_disease|eicu|adult|pneumoniamnist|
       csv|image_folder|...                          all of them: fedpate simulate data=?
      data.root=DIR data.download=true               mnist, fashion_mnist, heart_disease
      data.path=FILE data.label=COLUMN data.patient=COLUMN data.hospital=COLUMN          csv
  partition=iid|dirichlet|quantity|natural           who has which patients
  teacher=mlp|cnn|sklearn                            teacher=sklearn teacher.model=random_forest
  student=torch|sklearn
  mechanism=gnmax|laplace|gumbel|permute_and_flip|confident|interactive|randomized_response|none
      mechanism.noise_scale=10                       in votes; more noise is more privacy
  privacy.target_epsilon=4                           per patient; sets the noise instead
      privacy.delta=1e-5
      privacy.budget.patient=8 privacy.budget.hospital=50 privacy.on_budget=stop|truncate
      privacy.ledger=FILE                            an account that outlives this run
  trust=coordinator|local                            who adds the noise
  audit.leave_one_out=true                           afterwards leave one patient out and retrain:
                                                     more than one changed teacher is an error
  engine=inprocess|pool|flower                       what carries the messages
  experiment=mnist_250|...                           many settings at once
  hydra.run.dir=DIR                                  where the run directory goes

  -m      run every combination of comma-separated values
  --json  print summary.json and nothing else on stdout
  --cfg job  print the settings and run nothing

examples
  fedpate simulate
  fedpate simulate hospitals=20 privacy.target_epsilon=2
  fedpate simulate data=heart_disease data.root=DIR partition=natural
  fedpate simulate mechanism=laplace mechanism.noise_scale=20 --json
  fedpate simulate -m mechanism.noise_scale=5,10,20 seed=0,1,2

exit codes: 0 done, 2 bad input, 3 a budget or a quorum stopped it and nothing was released"""


def main(args: Sequence[str]) -> int:
    """Run one simulation, or every point of a sweep.

    Raises:
      FedPateError: the single run was refused; in a sweep refusals are told point by point.
    """
    from fedpate.commands import _hydra, _output

    as_json, rest = take_flag(for_hydra(args), "--json")
    sweep = "-m" in rest or "--multirun" in rest
    summaries: list[dict[str, Any]] = []

    def task(cfg: "DictConfig", overrides: list[str], folder: Path) -> None:
        summaries.append(_simulate(cfg, overrides, folder))
        if not as_json:
            tell(summaries[-1], folder, " ".join(overrides) if sweep else None)

    refused = _hydra.run("simulate", rest, task)
    if refused and not sweep:
        raise refused[0][1]
    if as_json and (summaries or refused):
        _output.print_json(summaries if sweep else summaries[0])
    for point, error in refused:
        _output.complain(f"fedpate simulate: refused {point}: {error}")
    return refused[0][1].exit_code if refused else 0


def _simulate(cfg: "DictConfig", overrides: list[str], folder: Path) -> dict[str, Any]:
    """Build the run, run it, write the report; returns what summary.json holds."""
    from fedpate import config
    from fedpate.commands._display import display

    run = config.build(cfg, overrides)  # every setting is checked here, before any data is read
    from fedpate.federation import engines
    from fedpate.report import page

    with display() as progress:
        engines.simulate(run, folder, progress)
    page.write(folder)
    if run.audit.leave_one_out:
        _leave_one_out(run)
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


def tell(summary: dict[str, Any], folder: Path, point: str | None) -> None:
    """The closing table; one line for a point of a sweep."""
    from fedpate.commands import _output
    from fedpate.report import tables, words

    if point is not None:
        _output.say(f"{point}: {words.one_line(summary)}")
        return
    _output.stdout().print(tables.run_summary(summary))
    place = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    _output.say(f"run directory  {place}\nreport         {place / 'report.html'}")
