"""`fedpate account VOTES`: what releasing the labels of a file of votes costs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedpate import _check
from fedpate.commands._schema import Delta
from fedpate.errors import ConfigError

if TYPE_CHECKING:
    from fedpate.records import Ints

HELP = """\
usage: fedpate account VOTES [SETTING=VALUE ...] [--json]

VOTES holds vote counts, one row per query and one column per class; every row sums to the number
of teachers: .npy, .npz (array `counts`), CSV, or the run directory of a simulation. Prints what it
costs to release one noisy label per row, per patient and, if asked, per hospital:

  guaranteed      whatever the votes are; may be published
  data-dependent  looks at the votes, so it is itself private: NOT RELEASABLE. `published` is the
                  analysis of the mechanism's own paper, `exact` follows from the exact law
  sanitized       the data-dependent one made publishable: its distribution

settings
  mechanism=gnmax|laplace|gumbel|permute_and_flip|confident|interactive|randomized_response|none
      mechanism.noise_scale=40 mechanism.threshold=200 mechanism.threshold_noise_scale=150
  queries=640               the first rows; all of them by default
  privacy.delta=1e-5
  teachers_per_hospital=25  also price a hospital with so many of the teachers
  seed=0                    of the realized number of answers
  out=DIR                   plots: epsilon.svg (query by query) and consensus.svg

examples
  fedpate account votes.npy mechanism.noise_scale=40
  fedpate account outputs/2026-01-31/12-00-00 teachers_per_hospital=5
  fedpate account votes.npy mechanism=confident mechanism.threshold=200 \\
      mechanism.threshold_noise_scale=150 mechanism.noise_scale=40 queries=640 --json"""


@dataclass(frozen=True)
class AccountSettings:
    """What `fedpate account` takes."""

    mechanism: Any
    privacy: Delta = field(default_factory=Delta)
    queries: int | None = None
    teachers_per_hospital: int | None = None
    seed: int = 0
    out: str | None = None

    def __post_init__(self) -> None:
        _check.at_least(0, seed=self.seed)
        if self.queries is not None:
            _check.at_least(1, queries=self.queries)


def main(args: Sequence[str]) -> int:
    """Account for one file.

    Raises:
      ConfigError, DataError: a setting or the file is refused.
    """
    from fedpate.commands import _output, _settings
    from fedpate.commands._votes import read_votes
    from fedpate.privacy.account import Account

    name, overrides, as_json = _settings.split(args, "VOTES")
    settings = _settings.compose("account", AccountSettings, overrides)
    account = Account(
        _first(read_votes(Path(name or "")), settings.queries),
        settings.mechanism,
        settings.privacy.delta,
        settings.teachers_per_hospital,
        seed=settings.seed,
    )
    result = account.to_json()
    if settings.out is not None:
        from fedpate.report import plots

        curves, folder = account.curves(), Path(settings.out)
        _output.write_file(folder / "epsilon.svg", "out", plots.epsilon_per_query(curves))
        _output.write_file(folder / "consensus.svg", "out", plots.consensus(curves))
    if as_json:
        _output.print_json(result)
        return 0
    from fedpate.report.analysis_tables import account_table

    _output.stdout().print(account_table(result))
    return 0


def _first(votes: "Ints", queries: int | None) -> "Ints":
    if queries is not None and queries > len(votes):
        raise ConfigError(f"queries must be at most {len(votes)}, the rows of VOTES, got {queries}")
    return votes[:queries]
