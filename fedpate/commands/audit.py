"""`fedpate audit`: sample the real mechanism, bound epsilon from below, compare with the claim."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedpate import _check
from fedpate.commands._schema import Delta
from fedpate.errors import AuditFailed

if TYPE_CHECKING:
    from rich.console import RenderableType

HELP = """\
usage: fedpate audit [SETTING=VALUE ...] [--json]
       fedpate audit RUN_DIR [canaries=60] [confidence=0.95] [seed=0] [--json]

Without RUN_DIR: samples the mechanism, with the noise it really draws, on pairs of votes that
differ in one patient's vote, and bounds from below what epsilon those samples need. A lower bound
above the claim means that the mechanism is broken: exit code 3. One below it proves nothing, but a
mechanism with half of its noise is caught. Beside it: a chi-square test of the labels against the
exact law.

With the directory of a finished simulation: trains its teachers once more, with canary patients
who have a wrong label and are in or out by their own coins, and lets an attacker guess the coins
from the released labels and the student: that bounds the whole run's epsilon from below. Beside
it: how well the student tells its hospitals' records from new ones (0.5 is chance). What was found
is kept in RUN_DIR/audit.json and stands in the certificate of its report.html.

settings
  mechanism=gnmax|laplace|gumbel|permute_and_flip|confident|interactive|randomized_response
      mechanism.noise_scale=10
  hospitals=10 teachers_per_hospital=5 classes=10 privacy.delta=1e-5
  trials=20000      outputs sampled from each of the two; more of them find more
  queries=null      queries in one output; null: as many as show most
  confidence=0.95   that every lower bound holds

examples
  fedpate audit
  fedpate audit mechanism=laplace mechanism.noise_scale=2 trials=100000
  fedpate audit mechanism=confident --json
  fedpate audit outputs/2026-01-31/12-00-00 canaries=100"""


@dataclass(frozen=True)
class AuditSettings:
    """What `fedpate audit` takes."""

    mechanism: Any
    privacy: Delta = field(default_factory=Delta)
    hospitals: int = 10
    teachers_per_hospital: int = 5
    classes: int = 10
    queries: int | None = None
    trials: int = 20_000
    confidence: float = 0.95

    def __post_init__(self) -> None:
        _check.at_least(
            1, hospitals=self.hospitals, teachers_per_hospital=self.teachers_per_hospital
        )
        if self.queries is not None:
            _check.at_least(1, queries=self.queries)


@dataclass(frozen=True)
class RunAuditSettings:
    """What `fedpate audit RUN_DIR` takes; `fedpate.federation.canary_run` checks it."""

    canaries: int = 60
    confidence: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        _check.at_least(0, seed=self.seed)


def main(args: Sequence[str]) -> int:
    """Audit a mechanism, or a finished simulation.

    Raises:
      AuditFailed: a measurement contradicts the claim; the result was printed.
    """
    from fedpate.commands import _settings

    folder, overrides, as_json = _settings.split(args, "RUN_DIR", optional=True)
    if folder is not None:
        return _audit_run(Path(folder), overrides, as_json=as_json)
    return _audit_mechanism(overrides, as_json=as_json)


def _audit_mechanism(overrides: Sequence[str], *, as_json: bool) -> int:
    from fedpate.commands import _settings
    from fedpate.privacy.audit import audit_mechanism
    from fedpate.privacy.noise import OsEntropy
    from fedpate.report.analysis_tables import audit_table

    settings = _settings.compose("audit", AuditSettings, overrides)
    found = audit_mechanism(
        settings.mechanism,
        settings.privacy.delta,
        settings.classes,
        settings.hospitals * settings.teachers_per_hospital,
        settings.trials,
        OsEntropy(),
        settings.confidence,
        settings.queries,
    )
    result = {**dataclasses.asdict(found), "unit": "patient", "passed": found.passed}
    _show(result, audit_table, as_json=as_json)
    if not found.passed:
        raise AuditFailed(
            f"mechanism={found.mechanism}: the samples contradict the claim "
            f"(lower bound {found.lower_bound:.3f}, claimed {found.claimed:.3f} per patient "
            f"at delta={found.delta:g})"
        )
    return 0


def _audit_run(folder: Path, overrides: Sequence[str], *, as_json: bool) -> int:
    from fedpate.commands import _settings
    from fedpate.commands._recorded import recorded_run
    from fedpate.report.analysis_tables import run_audit_table

    settings = _settings.compose("audit_run", RunAuditSettings, overrides, ())
    with recorded_run(folder) as run:
        from fedpate.federation.canary_run import audit_run
        from fedpate.privacy.noise import OsEntropy
        from fedpate.rng import stream

        rng = stream(settings.seed, "canaries")
        found = audit_run(run, settings.canaries, rng, OsEntropy(), settings.confidence)
    result = {**dataclasses.asdict(found), "unit": "patient", "passed": found.passed}
    _record(folder, result)
    _show(result, run_audit_table, as_json=as_json)
    if not found.passed:
        raise AuditFailed(
            f"RUN_DIR={folder}: the canaries contradict the claim (lower bound "
            f"{found.canaries.lower_bound:.3f}, claimed {found.claimed:.3f} per patient "
            f"at delta={found.canaries.delta:g})"
        )
    return 0


def _record(folder: Path, result: dict[str, Any]) -> None:
    """`audit.json` in the run directory, and the bound in the run's page."""
    from fedpate import _json
    from fedpate.commands._output import write_file
    from fedpate.report import page, recorded

    content = _json.dumps({"schema": recorded.SCHEMA, **result}, indent=1) + "\n"
    write_file(folder / recorded.AUDIT, "RUN_DIR", content)
    page.write(folder)


def _show(
    result: dict[str, Any],
    table: "Callable[[Mapping[str, Any]], RenderableType]",
    *,
    as_json: bool,
) -> None:
    from fedpate.commands import _output

    if as_json:
        _output.print_json(result)
    else:
        _output.stdout().print(table(result))
