"""`fedpate tune`: a Pareto search, student accuracy against an epsilon that may be published."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedpate.commands._arguments import Parser
from fedpate.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from optuna import Study, Trial

    from fedpate.commands._search import Space

HELP = """\
usage: fedpate tune SETTING=RANGE ... [SETTING=VALUE ...] [--trials N] [--seeds 0,1]
                    [--epsilon guaranteed|sanitized] [--out DIR] [--json]

Searches settings for the best student at every price: each trial is a simulation, a higher student
accuracy and a lower epsilon per patient are better, and what no other trial beats in both is the
result. The epsilon is one that may be published: the guaranteed one, or the sanitized one. Never
the data-dependent one: minimizing that removes the noise, and it may not be told to anybody.

Every trial releases labels about the same patients, so search on public data, then run once.

needs pip install 'fedpate[tune]' (Optuna)

  SETTING=a,b                 a choice
  SETTING='range(50,301,50)'  whole numbers
  SETTING='interval(0.5,8)'   any number between; 'tag(log,interval(0.5,8))' by its logarithm
  --trials N     how many in all (20); the same command again goes on up to N
  --seeds 0,1    every trial is the mean over these seeds (0)
  --epsilon KIND  guaranteed (the default) or sanitized
  --out DIR      run directories, study.db, sweep.csv and pictures (tune)
  --json         print the result as JSON

examples
  fedpate tune mechanism=gnmax,laplace 'privacy.target_epsilon=interval(0.5,8)' --trials 30
  fedpate tune data=digits 'queries=range(50,301,50)' 'mechanism.noise_scale=interval(4.0,20.0)'"""


def main(args: Sequence[str]) -> int:
    """Search until there are as many trials as asked for.

    Raises:
      ConfigError: Optuna is not installed, nothing to search, or a setting that cannot be read.
    """
    from fedpate.commands._search import Space
    from fedpate.learning import extras

    extras.require("optuna", "fedpate tune")
    options, overrides = _arguments(args)
    space = Space(overrides)
    _require_guarantee(overrides)
    study = _study(options, overrides)
    while (number := _finished(study)) < options.trials:
        _tell(f"trial {number + 1} of {options.trials}")
        study.optimize(
            lambda trial: _trial(trial, space, options), n_trials=1, catch=(_TrialFailedError,)
        )
    _show(study, options)
    return 0


class _TrialFailedError(Exception):
    """A trial that was refused; the search goes on."""


def _arguments(args: Sequence[str]) -> tuple[Any, list[str]]:
    parser = Parser(add_help=False, prog="fedpate tune")
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--epsilon", default="guaranteed")
    parser.add_argument("--out", type=Path, default=Path("tune"))
    parser.add_argument("--json", action="store_true")
    options = parser.read(args)
    if options.trials < 1:
        raise ConfigError(f"--trials must be a whole number >= 1, got {options.trials}")
    if options.epsilon not in ("guaranteed", "sanitized"):
        raise ConfigError(
            "--epsilon must be guaranteed or sanitized: the others may not be published, "
            f"got {options.epsilon!r}"
        )
    try:
        options.seeds = sorted({int(seed) for seed in options.seeds.split(",")})
    except ValueError as error:
        raise ConfigError(
            f"--seeds must be whole numbers such as 0,1, got {options.seeds}"
        ) from error
    return options, options.overrides


def _require_guarantee(overrides: Sequence[str]) -> None:
    """Refuse what would make every trial's price meaningless, or the seeds ambiguous."""
    for text in overrides:
        key = text.partition("=")[0].lstrip("+")
        if key == "noise_seed":
            raise ConfigError("noise_seed must not be set: seeded noise has no price to compare")
        if key == "seed":
            raise ConfigError("seed is not searched: --seeds says over which to take the mean")


def _study(options: Any, overrides: Sequence[str]) -> "Study":
    """The study of this very command, new or from its file."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)  # failures are told here
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"--out must be a folder that can be written, got {options.out}: {error.strerror}"
        ) from error
    what = "\n".join([*sorted(overrides), str(options.seeds), options.epsilon])
    return optuna.create_study(
        study_name=hashlib.sha256(what.encode()).hexdigest()[:16],
        storage=f"sqlite:///{(options.out / 'study.db').absolute()}",
        directions=["maximize", "minimize"],
        sampler=optuna.samplers.TPESampler(),
        load_if_exists=True,
    )


def _finished(study: "Study") -> int:
    return sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))


def _trial(trial: "Trial", space: "Space", options: Any) -> tuple[float, float]:
    """(mean student accuracy, mean epsilon per patient) over the seeds."""
    from fedpate.commands import _hydra, _one_run
    from fedpate.commands._display import display

    overrides = space.suggest(trial)
    folder = options.out / f"{trial.study.study_name[:6]}-{trial.number}"
    trial.set_user_attr("folder", str(folder))
    trial.set_user_attr("overrides", overrides)
    found: list[dict[str, Any]] = []

    def task(cfg: "DictConfig", typed: list[str], place: Path) -> None:
        with display() as progress:
            found.append(_one_run.simulate(cfg, typed, place, progress))

    for seed in options.seeds:
        place = str(folder / str(seed)).replace("'", "\\'")
        typed = [*overrides, f"seed={seed}", f"hydra.run.dir='{place}'"]
        with _hydra.few_lines():
            refused = _hydra.run("tune", typed, task)
        if refused:
            _fail(trial, str(refused[0][1]))
    return _mean(trial, found, options.epsilon)


def _mean(trial: "Trial", found: Sequence[dict[str, Any]], kind: str) -> tuple[float, float]:
    if not all(summary["mechanism"]["guarantee"] for summary in found):
        _fail(trial, "no guarantee, so no price to compare")
    students = [summary["student"]["accuracy"] for summary in found]
    epsilons = [summary["privacy"]["patient"][kind] for summary in found]
    if None in students or None in epsilons:
        _fail(trial, f"no student, or no {kind} epsilon")
    return sum(students) / len(found), sum(epsilons) / len(found)


def _fail(trial: "Trial", why: str) -> None:
    """End a trial without a result.

    Raises:
      _TrialFailedError: always.
    """
    trial.set_user_attr("failed", why)
    _tell(f"failed: {' '.join(trial.user_attrs['overrides'])}: {why}")
    raise _TrialFailedError(why)


def _show(study: "Study", options: Any) -> None:
    """The front as a table or JSON; the files of a sweep in the folder."""
    from fedpate.commands import _compare, _output
    from fedpate.report import sweep_table

    rows = _compare.rows([options.out])
    pictures = _compare.write(rows, options.out, "--out") if rows else []
    best = sorted(study.best_trials, key=lambda trial: trial.values[1])
    front = [
        {
            "settings": dict(trial.params),
            "student": trial.values[0],
            "epsilon": trial.values[1],
            "run": trial.user_attrs["folder"],
        }
        for trial in best
    ]
    if options.json:
        trials = {"finished": _finished(study), "unit": "patient", "epsilon": options.epsilon}
        _output.print_json({**trials, "front": front})
        return
    deltas = sorted({row.values["privacy.delta"] for row in rows if not row.error})
    _output.stdout().print(sweep_table.front(front, options.epsilon, deltas))
    _output.say(f"all trials  {options.out / _compare.CSV}; {', '.join(pictures)}")


def _tell(line: str) -> None:
    from fedpate.commands._output import complain

    complain(f"fedpate tune: {line}")
