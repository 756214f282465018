"""Parallel databases: remove each record or teacher in turn, and see how far the answer moves.

The change seen on one database is a *local* sensitivity: it looks at the data, so it is private
itself, and it is only a lower bound on what any database can do. It can disprove a claimed bound,
and it never sets a noise scale: noise here comes from the bound, which knows no data. A teaching
tool and a test oracle, not a way to release anything (a float64 answer plus float64 noise betrays
low-order bits); labels are released by `Mechanism.release`.

The neighbouring relation is remove-one, with the number of records taken as public; what fedpate
charges for is replace-one, at most twice as far. `vote_sensitivity` does the same to teachers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedpate import _check
from fedpate.errors import ConfigError, DataError
from fedpate.privacy.noise import Entropy, Laplace, OsEntropy, draw
from fedpate.records import Floats, Ints

REMOVE_ONE = "remove_one"
_ROUNDING = 1e-9  # relative; what float64 sums may lose before a bound counts as disproved


def _changes_of_max(values: Floats) -> Floats:
    second, first = np.partition(values, -2)[-2:]
    return np.where(values == first, first - second, 0.0)


# What leaving out each record changes: (n,) values -> (n,) absolute changes of the answer.
_CHANGES: Mapping[str, Callable[[Floats], Floats]] = {
    "count": lambda values: np.ones(len(values)),
    "sum": np.abs,
    "mean": lambda values: np.abs(values - values.mean()) / (len(values) - 1),
    "max": _changes_of_max,
}
_ANSWERS: Mapping[str, Callable[[Floats], float]] = {
    "count": len,
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
}
QUERIES = tuple(_ANSWERS)


@dataclass(frozen=True, eq=False)
class ColumnSensitivity:
    """One query over one column and its n parallel databases, each without one record."""

    query: str
    answer: float
    changes: Floats  # (n,) how far the answer moves without each record
    pivotal: Ints  # rows whose absence moves it most; none if nothing moves it
    bound: float | None  # for any column within the stated bounds; None if they are needed
    outside: int | None  # how many values are not within the stated bounds
    epsilon: float | None
    noisy_answers: Floats  # independent draws at epsilon; empty without epsilon or bound

    @property
    def empirical(self) -> float:
        """The largest change: a lower bound on the sensitivity."""
        return float(self.changes.max())

    @property
    def bound_holds(self) -> bool | None:
        """False if this very database disproves the bound; None without one."""
        return None if self.bound is None else self.empirical <= self.bound * (1 + _ROUNDING)

    @property
    def noise_scale(self) -> float | None:
        """Of the Laplace noise that makes the answer epsilon-DP, if the bound is true."""
        return None if self.bound is None or self.epsilon is None else self.bound / self.epsilon

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `--json`; rows by index, never by value."""
        return {
            "query": self.query,
            "records": len(self.changes),
            "relation": REMOVE_ONE,
            "answer": self.answer,
            "empirical_sensitivity": self.empirical,
            "pivotal_rows": self.pivotal.tolist(),
            "theoretical_bound": self.bound,
            "bound_holds": self.bound_holds,
            "values_outside_bounds": self.outside,
            "epsilon": self.epsilon,
            "noise_scale": self.noise_scale,
            "noisy_answers": self.noisy_answers.tolist(),
        }


def column_sensitivity(
    query: str,
    values: npt.NDArray[np.floating[Any] | np.integer[Any]],
    *,
    lower: float | None = None,
    upper: float | None = None,
    epsilon: float | None = None,
    draws: int = 5,
    entropy: Entropy | None = None,
) -> ColumnSensitivity:
    """Remove each record of a column in turn.

    Bounds, over all columns of n values in [lower, upper]: sum, max(|lower|, |upper|); mean,
    (upper - lower) / n; max, upper - lower; count, 1 whatever the values.

    Args:
      query: one of `QUERIES`.
      values: (n,) the column, n >= 2.
      lower: smallest value that is possible, from knowledge of the quantity, not from the data.
      upper: largest value that is possible.
      epsilon: of the noisy answers; pure DP under remove-one.
      draws: how many noisy answers to show. Each would be a release of its own.
      entropy: where the noise comes from; the operating system by default.

    Raises:
      ConfigError: unknown query, one bound without the other or in the wrong order, epsilon <= 0.
      DataError: not a column of at least two finite numbers.
    """
    _check.one_of(QUERIES, query=query)
    _check.at_least(1, draws=draws)
    column = _finite_column(values)
    bound, outside = _stated_bound(query, column, lower, upper)
    changes = _CHANGES[query](column)
    largest = changes.max()
    pivotal = np.flatnonzero((changes >= largest * (1 - _ROUNDING)) & (largest > 0))
    answer = float(_ANSWERS[query](column))
    noisy = np.empty(0)
    if epsilon is not None:
        _check.positive(epsilon=epsilon)
        if bound is not None:
            noise = draw(Laplace(bound / epsilon), (draws,), entropy or OsEntropy())
            noisy = answer + noise.values
    return ColumnSensitivity(query, answer, changes, pivotal, bound, outside, epsilon, noisy)


def _finite_column(values: npt.NDArray[Any]) -> Floats:
    if values.ndim != 1 or len(values) < 2:
        raise DataError(f"the column must hold at least 2 values, got shape {values.shape}")
    try:
        column = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"the column must hold numbers, got {values.dtype}") from error
    if bad := int((~np.isfinite(column)).sum()):
        raise DataError(f"the column must hold finite numbers, {bad} of {len(column)} are not")
    return column


def _stated_bound(
    query: str, column: Floats, lower: float | None, upper: float | None
) -> tuple[float | None, int | None]:
    """The theoretical bound and how many values break its premise."""
    if lower is None and upper is None:
        return (1.0 if query == "count" else None), None
    if lower is None or upper is None:
        raise ConfigError(f"lower and upper go together, got lower={lower!r}, upper={upper!r}")
    _check.finite(lower=lower, upper=upper)
    if lower >= upper:
        raise ConfigError(f"lower must be < upper={upper!r}, got {lower!r}")
    bounds = {
        "count": 1.0,
        "sum": max(abs(lower), abs(upper)),
        "mean": (upper - lower) / len(column),
        "max": upper - lower,
    }
    return bounds[query], int(((column < lower) | (column > upper)).sum())
