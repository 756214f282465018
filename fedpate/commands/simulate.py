"""`fedpate simulate`: a simulated federation on this machine, from records to report."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedpate.commands._arguments import for_hydra, take_flag

if TYPE_CHECKING:
    from omegaconf import DictConfig

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
  teacher=mlp|cnn|resnet18|sklearn|xgboost|lightgbm|keras|command|onnx
      teacher.model=random_forest                    sklearn
  student=torch|fixmatch|sklearn
  mechanism=gnmax|laplace|gumbel|permute_and_flip|confident|interactive|randomized_response|none
      mechanism.noise_scale=10                       in votes; more noise is more privacy
  privacy.target_epsilon=4                           per patient; sets the noise instead
      privacy.delta=1e-5
      privacy.budget.patient=8 privacy.budget.hospital=50 privacy.on_budget=stop|truncate
      privacy.ledger=FILE                            an account that outlives this run
  trust=coordinator|local                            who adds the noise
  votes=labels|probabilities                         a whole vote, or shares of one
  audit.leave_one_out=true                           afterwards leave one patient out and retrain:
                                                     more than one changed teacher is an error
  engine=inprocess|pool|flower                       what carries the messages
  baselines=none|local|standard|all                  what the student is compared with; all: also
                                                     FedAvg, FedAvg with DP-SGD, two-level voting
  tracking=none|tensorboard|mlflow                   tell the finished run to a tracker, too
  experiment=mnist_250|...                           many settings at once
  hydra.run.dir=DIR                                  where the run directory goes

  -m      run every combination of comma-separated values; the same command again runs only what is
          missing. Ends with a table, sweep.csv and pictures (fedpate compare shows them again);
          hydra.sweep.dir=DIR hydra.launcher.jobs=N (points at once; else one per core, at most 8)
          hydra/launcher=submitit_slurm (a cluster)
  --json  print summary.json and nothing else on stdout
  --cfg job  print the settings and run nothing

examples
  fedpate simulate
  fedpate simulate hospitals=20 privacy.target_epsilon=2
  fedpate simulate data=heart_disease data.root=DIR partition=natural
  fedpate simulate mechanism=laplace mechanism.noise_scale=20 --json
  fedpate simulate -m mechanism=gnmax,laplace privacy.target_epsilon=2,8 'seed=range(3)'

exit codes: 0 done, 2 bad input, 3 a budget or a quorum stopped it and nothing was released"""


def main(args: Sequence[str]) -> int:
    """Run one simulation, or every point of a sweep.

    Raises:
      FedPateError: the single run was refused; in a sweep refusals are told point by point.
    """
    as_json, rest = take_flag(for_hydra(args), "--json")
    if "-m" in rest or "--multirun" in rest:
        from fedpate.commands import _sweep

        return _sweep.main(rest, as_json=as_json)
    from fedpate.commands import _hydra, _one_run, _output
    from fedpate.commands._display import display

    def task(cfg: "DictConfig", overrides: list[str], folder: Path) -> None:
        with display() as progress:
            summary = _one_run.simulate(cfg, overrides, folder, progress)
        if as_json:
            _output.print_json(summary)
        else:
            tell(summary, folder)

    refused = _hydra.run("simulate", rest, task)
    if refused:
        raise refused[0][1]
    return 0


def tell(summary: dict[str, Any], folder: Path) -> None:
    """The closing table."""
    from fedpate.commands import _output
    from fedpate.report import tables

    _output.stdout().print(tables.run_summary(summary))
    place = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    _output.say(f"run directory  {place}\nreport         {place / 'report.html'}")
