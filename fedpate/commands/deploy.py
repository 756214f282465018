"""`fedpate deploy KIT`: one run on a running federation of real hospitals."""

import getpass
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedpate.commands._arguments import for_hydra, take_flag, take_option
from fedpate.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from fedpate.federation.kit import CoordinatorKit

HELP = """\
usage: fedpate deploy KIT [SETTING=VALUE ...] [--as NAME] [--json] [--cfg job]

Submits a run to the federation whose coordinator runs from KIT (`fedpate coordinator start KIT`),
waits for its hospitals, follows it, and leaves the run directory that `fedpate simulate` leaves;
what looks at votes or at private records is null in it. The hospitals are those that KIT admits.

The settings are those of `fedpate simulate`, without those that only a simulation has (hospitals,
partition, engine, baselines, store, audit). `data` is the coordinator's own: the public records
that are asked about (data.pool_fraction of them) and those that the student is scored on
(data.test_fraction).

  min_hospitals=3     how many have to answer (default: all); below, nothing is released or charged
  join_s=120          how long to wait for hospitals to connect, in seconds
  reply_s=21600       how long to wait for one round of replies

  --as NAME  who asks, which hospitals may have rules about (default: your user name)
  --json     print summary.json and nothing else on stdout
  --cfg job  print the settings and run nothing

The federation's ledger is KIT/state/ledger.sqlite; the run directory gets a copy. Interrupted? The
same command again goes on: teachers, answers and labels that are there are used, and nothing is
charged twice.

examples
  fedpate deploy kits/coordinator data=csv data.path=public.csv data.label=outcome
  fedpate deploy kits/coordinator data=heart_disease data.root=DIR min_hospitals=3
  fedpate deploy kits/coordinator --as alice queries=500 privacy.target_epsilon=2

exit codes: 0 done, 1 the coordinator is not running or went away, 2 bad input, 3 a budget or a
quorum stopped it and nothing was released"""

SIMULATED = ("hospitals", "partition", "engine", "baselines", "store", "audit")


def main(args: Sequence[str]) -> int:
    """Run one run of a deployment.

    Raises:
      FedPateError: it was refused, or its coordinator is not there.
    """
    from fedpate.commands import _hydra, _output
    from fedpate.commands.simulate import tell

    if not args or args[0].startswith("-") or "=" in args[0]:
        raise ConfigError("KIT must come first: the coordinator's kit")
    as_json, rest = take_flag(args[1:], "--json")
    submitter, rest = take_option(rest, "--as")
    if "-m" in rest or "--multirun" in rest:
        raise ConfigError("-m is for fedpate simulate: a federation runs one run at a time")

    from fedpate.federation.kit import CoordinatorKit

    kit = CoordinatorKit.read(Path(args[0]))
    summaries: list[dict[str, Any]] = []

    def task(cfg: "DictConfig", overrides: list[str], folder: Path) -> None:
        summaries.append(_deploy(kit, submitter or getpass.getuser(), cfg, overrides, folder))
        if not as_json:
            tell(summaries[-1], folder)

    refused = _hydra.run("deploy", for_hydra(rest), task)
    if refused:
        raise refused[0][1]
    if as_json and summaries:
        _output.print_json(summaries[0])
    return 0


def _deploy(
    kit: "CoordinatorKit", submitter: str, cfg: "DictConfig", overrides: list[str], folder: Path
) -> dict[str, Any]:
    """Build the run, run it, write the report; returns what summary.json holds."""
    from fedpate import config
    from fedpate.commands._display import display
    from fedpate.commands._tracking import track
    from fedpate.federation.kit import STATE

    _require_no_simulation(overrides)
    from fedpate.federation.deployment import submit
    from fedpate.report import page

    cfg = cfg.copy()
    cfg.hospitals = len(submit.admitted(kit))
    run = config.build(cfg, overrides)
    with display() as progress:
        submit.deploy(kit, run, folder, submitter, progress)
    page.write(folder)
    track(run, folder, kit.folder / STATE / submit.LEDGER)
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    return summary


def _require_no_simulation(overrides: Sequence[str]) -> None:
    """Refuse a setting that would silently mean nothing here."""
    from fedpate import config

    for override in config.parse(overrides):
        name = override.key_or_group
        if name.split(".")[0] in SIMULATED:
            raise ConfigError(f"{name} is a setting of simulations; KIT says who the hospitals are")
        if name == "privacy.ledger":
            raise ConfigError(
                "privacy.ledger must not be set: the ledger is KIT/state/ledger.sqlite"
            )
