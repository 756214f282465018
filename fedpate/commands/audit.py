"""`fedpate audit`: sample the real mechanism, bound epsilon from below, compare with the claim."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fedpate import _check
from fedpate.commands._schema import Delta
from fedpate.errors import AuditFailed

HELP = """\
usage: fedpate audit [SETTING=VALUE ...] [--json]

Samples the mechanism, with the noise it really draws, on pairs of votes that differ in one
patient's vote, and bounds from below what epsilon those samples need. A lower bound above the
claim means that the mechanism is broken: exit code 3. One below it proves nothing, but a mechanism
with half of its noise is caught. Beside it: a chi-square test of the labels against the exact law.

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
  fedpate audit mechanism=confident --json"""


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


def main(args: Sequence[str]) -> int:
    """Audit one mechanism.

    Raises:
      AuditFailed: a measurement contradicts the claim; the result was printed.
    """
    from fedpate.commands import _output, _settings
    from fedpate.privacy.audit import audit_mechanism
    from fedpate.privacy.noise import OsEntropy
    from fedpate.report.analysis_tables import audit_table

    _, overrides, as_json = _settings.split(args, None)
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
    if as_json:
        _output.print_json(result)
    else:
        _output.stdout().print(audit_table(result))
    if not found.passed:
        raise AuditFailed(
            f"mechanism={found.mechanism}: the samples contradict the claim "
            f"(lower bound {found.lower_bound:.3f}, claimed {found.claimed:.3f} per patient "
            f"at delta={found.delta:g})"
        )
    return 0
