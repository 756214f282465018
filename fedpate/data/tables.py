"""A table of the user's own: CSV (also compressed), or Parquet by its suffix.

One row is one record and, without a patient column, one patient. Every column is a feature except
the label, the patient and the hospital. Numbers and booleans are taken as they are; text with at
most `MOST_CATEGORIES` distinct values becomes one 0/1 feature for each; anything else is refused by
the column's name. Names of columns may appear in messages, since they are the public schema; what
is in a cell never does.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from fedpate.data.dataset import MOST_CLASSES, Dataset, codes
from fedpate.data.files import listed, read_table
from fedpate.data.hospitals import check_rule, without_small
from fedpate.data.splits import check_fractions
from fedpate.errors import ConfigError, DataError
from fedpate.records import Ints

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES = 32


@dataclass(frozen=True)
class Csv:
    """A CSV or Parquet file. Without `patient`, every row is a patient."""

    name: ClassVar[str] = "csv"
    path: str
    label: str
    patient: str | None = None
    hospital: str | None = None
    small_hospitals: str = "pool"
    fewest_patients: int = 1
    pool_fraction: float = 0.2
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        for field in ("path", "label", "patient", "hospital"):
            value = getattr(self, field)
            optional = value is None and field in ("patient", "hospital")
            if not optional and not (isinstance(value, str) and value):
                raise ConfigError(f"data.{field} must be a name, got {value!r}")
        for setting, column in self._roles().items():
            if list(self._roles().values()).count(column) > 1:
                raise ConfigError(
                    f"{setting} must be a column of its own, got {column!r} for another one too"
                )
        check_rule(self.small_hospitals, self.fewest_patients)
        check_fractions(self.pool_fraction, self.test_fraction)

    def load(self) -> Dataset:
        """Read, check and encode the table."""
        frame = read_table(Path(self.path), f"data.path={self.path}")
        for setting, column in self._roles().items():
            if column not in frame.columns:
                raise DataError(
                    f"{setting}={column} is no column of {self.path}; it has "
                    f"{listed(list(frame.columns))}"
                )
        if frame.empty:
            raise DataError(f"data.path={self.path} must hold records, it has a header only")
        labels, class_names = class_codes(frame[self.label], f"data.label={self.label}")
        if self.patient is None:
            patients = np.arange(len(frame), dtype=np.int64)
        else:
            patients, _ = column_codes(frame[self.patient], f"data.patient={self.patient}")
        hospitals: Ints | None = None
        hospital_names: tuple[str, ...] = ()
        if self.hospital is not None:
            hospitals, hospital_names = column_codes(
                frame[self.hospital], f"data.hospital={self.hospital}"
            )
        features, columns = _features(frame.drop(columns=list(self._roles().values())))
        dataset = Dataset(
            name=self.name,
            features=features,
            labels=labels,
            class_names=class_names,
            patients=patients,
            hospitals=hospitals,
            hospital_names=hospital_names,
            columns=columns,
        )
        return without_small(
            dataset, rule=self.small_hospitals, fewest_patients=self.fewest_patients
        )

    def _roles(self) -> dict[str, str]:
        """Columns that are no features, by the setting that names them."""
        roles = {
            "data.label": self.label,
            "data.patient": self.patient,
            "data.hospital": self.hospital,
        }
        return {setting: column for setting, column in roles.items() if column is not None}


def column_codes(column: "pd.Series[Any]", setting: str) -> tuple[Ints, tuple[str, ...]]:
    """A column without gaps as codes of its sorted distinct values."""
    from pandas.api import types  # here and below: importing it takes longer than a command's help

    missing = int(column.isna().sum())
    if missing:
        raise DataError(
            f"{setting} must have a value in every record, {missing} of {len(column)} are missing"
        )
    if not types.is_numeric_dtype(column.dtype):
        return codes(column.astype(str).to_numpy(dtype=np.str_))
    values = column.to_numpy()
    if values.dtype.kind == "f" and _all_whole(values) and np.abs(values).max() < 2**53:
        values = values.astype(np.int64)  # class 1, not class 1.0
    return codes(values)


def class_codes(column: "pd.Series[Any]", setting: str) -> tuple[Ints, tuple[str, ...]]:
    """A column of classes as codes, and their names: text, whole numbers or booleans."""
    from pandas.api import types

    numeric = types.is_numeric_dtype(column.dtype)
    if not (numeric or _is_text(column)) or (
        numeric and not column.isna().any() and not _all_whole(column.to_numpy())
    ):
        raise DataError(f"{setting} must hold classes: text, whole numbers or booleans")
    labels, class_names = column_codes(column, setting)
    if not 2 <= len(class_names) <= MOST_CLASSES:
        raise DataError(
            f"{setting} must have 2 to {MOST_CLASSES} classes, found {len(class_names)}"
        )
    return labels, class_names


def _all_whole(values: npt.NDArray[np.generic]) -> bool:
    numbers = values.astype(np.float64)
    return bool((np.isfinite(numbers) & (np.rint(numbers) == numbers)).all())


def _is_text(column: "pd.Series[Any]") -> bool:
    import pandas as pd
    from pandas.api import types

    if isinstance(column.dtype, pd.CategoricalDtype):
        return True
    return types.infer_dtype(column, skipna=True) in ("string", "boolean")


def _features(frame: "pd.DataFrame") -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    """(n_records, n_columns or more) float32 in the order of the file, and the columns' names."""
    from pandas.api import types

    if frame.columns.empty:
        raise DataError("data.path must have a feature column besides those that data.* name")
    gaps = frame.isna().sum()
    if gaps.any():
        named = [f"{column} ({count})" for column, count in gaps[gaps > 0].items()]
        raise DataError(
            f"features must not be missing, some of {len(frame)} records are in {listed(named)}"
        )
    blocks, names = [], list[str]()
    categories: tuple[str, ...]
    for name in frame.columns:
        column = frame[name]
        if types.is_numeric_dtype(column.dtype):
            block, categories = column_numbers(column, name), ("",)
        elif _is_text(column):
            block, categories = _one_hot(column, name)
        else:
            raise DataError(
                f"feature {name} must be numbers, booleans or text, it is {column.dtype}"
            )
        blocks.append(block)
        names += [f"{name}={category}" if category else name for category in categories]
    return np.concatenate(blocks, axis=1), tuple(names)


def column_numbers(
    column: "pd.Series[Any]", name: str, *, missing: bool = False
) -> npt.NDArray[np.float32]:
    """A column of numbers as (n_records, 1) float32; NaN only where `missing` allows it."""
    with np.errstate(over="ignore"):
        values = column.to_numpy(dtype=np.float64, na_value=np.nan).astype(np.float32)
    bad = int((~np.isfinite(values) & ~(missing & column.isna().to_numpy())).sum())
    if bad:
        raise DataError(
            f"feature {name} must be finite in float32, {bad} of {len(values)} values are not"
        )
    return values[:, np.newaxis]


def _one_hot(
    column: "pd.Series[Any]", name: str
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    category, names = codes(column.astype(str).to_numpy(dtype=np.str_))
    if len(names) > MOST_CATEGORIES:
        raise DataError(
            f"feature {name} must be numbers, or text with at most {MOST_CATEGORIES} distinct "
            f"values, it has {len(names)}: recode it or leave it out"
        )
    return np.eye(len(names), dtype=np.float32)[category], names
