"""`fedpate sensitivity FILE`: parallel databases, each without one record or one teacher."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fedpate import _check
from fedpate.errors import ConfigError, DataError

if TYPE_CHECKING:
    import pandas as pd

HELP = """\
usage: fedpate sensitivity FILE query=sum|mean|count|max column=COLUMN [SETTING=VALUE ...] [--json]
       fedpate sensitivity FILE query=votes classes=N [epsilon=E] [--json]

Removes each record (or each teacher) in turn and shows how far the answer moves: the empirical
sensitivity, the records it hangs on, the bound that theory gives, and answers with Laplace noise.
A teaching tool and an oracle: what it measures looks at the data, so it can disprove a bound and
never sets a noise.

FILE is CSV or Parquet with a header; for query=votes one row per query and one column per teacher,
each cell the class that the teacher predicts (also .npy).

settings
  query=sum|mean|count|max|votes
  column=COLUMN         which column; not for query=votes
  lower=0 upper=120     what values are possible at all, from knowledge and not from the data
  classes=10            number of classes, for query=votes
  epsilon=1             of the noisy answers; per query for query=votes
  draws=5               how many noisy answers to show

examples
  fedpate sensitivity patients.csv query=mean column=age lower=0 upper=120 epsilon=0.5
  fedpate sensitivity patients.csv query=count column=age epsilon=1 --json
  fedpate sensitivity teachers.csv query=votes classes=10 epsilon=0.1"""

QUERIES = ("count", "max", "mean", "sum", "votes")


@dataclass(frozen=True)
class SensitivitySettings:
    """What `fedpate sensitivity` takes."""

    query: str
    column: str | None = None
    lower: float | None = None
    upper: float | None = None
    classes: int | None = None
    epsilon: float | None = None
    draws: int = 5

    def __post_init__(self) -> None:
        _check.one_of(QUERIES, query=self.query)
        votes = self.query == "votes"
        needed, useless = ("classes", "column") if votes else ("column", "classes")
        if getattr(self, needed) is None:
            raise ConfigError(f"{needed} must be given for query={self.query}")
        if getattr(self, useless) is not None:
            raise ConfigError(f"{useless} must not be given for query={self.query}")


def main(args: Sequence[str]) -> int:
    """Show the sensitivity of one query.

    Raises:
      ConfigError, DataError: a setting or the file cannot be used.
    """
    from fedpate.commands import _output, _settings
    from fedpate.report.analysis_tables import facts

    name, overrides, as_json = _settings.split(args, "FILE")
    settings = _settings.compose("sensitivity", SensitivitySettings, overrides, ())
    result = _measure(Path(name or ""), settings)
    if as_json:
        _output.print_json(result)
    else:
        _output.stdout().print(facts(f"{settings.query}: leave one out", result))
    return 0


def _measure(path: Path, settings: SensitivitySettings) -> dict[str, Any]:
    from fedpate.privacy.sensitivity import column_sensitivity
    from fedpate.privacy.vote_sensitivity import vote_sensitivity

    if settings.query == "votes":
        predictions = _predictions(path)
        return vote_sensitivity(
            predictions, settings.classes or 0, epsilon=settings.epsilon
        ).to_dict()
    table = _table(path)
    if settings.column not in table.columns:
        raise ConfigError(
            f"column must be one of {', '.join(map(str, table.columns))}, got {settings.column!r}"
        )
    return column_sensitivity(
        settings.query,
        table[settings.column].to_numpy(),
        lower=settings.lower,
        upper=settings.upper,
        epsilon=settings.epsilon,
        draws=settings.draws,
    ).to_dict()


def _table(path: Path) -> "pd.DataFrame":
    from fedpate.data.files import read_table

    return read_table(path, f"FILE={path}")


def _predictions(path: Path) -> Any:
    import numpy as np

    if path.suffix != ".npy":
        return _table(path).to_numpy()
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"FILE={path} must be a .npy file of whole numbers") from error
