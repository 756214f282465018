"""One real hospital's own records, all of them private, as `data` in its site file describes them.

What kind of file it is, its path says: a folder is one of images by class; `.npz` holds arrays
`features`, `labels` and perhaps `patients`; `.data` is a file of the UCI heart disease study;
anything else is a table, CSV or Parquet by its suffix. All hospitals of a federation must code
classes and columns alike, so nothing is made up from the records at hand: where `classes` names
them, a label is its place in that list, and a column of text is refused.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fedpate.data import heart
from fedpate.data.files import is_folder, listed, read_table
from fedpate.data.image_folder import ImageFolder
from fedpate.data.npz import NUMBERS, read_arrays
from fedpate.data.tables import class_codes, column_codes, column_numbers
from fedpate.errors import ConfigError, DataError
from fedpate.records import Features, Ints

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class OwnData:
    """Where a hospital's records are, and how they are to be read: `data` in its site file."""

    path: str
    label: str = "label"  # tables: the column with the answer
    patient: str | None = None  # tables: which rows are one patient; None: a row is a patient
    classes: tuple[str, ...] | None = None  # in the federation's order; None: those found, sorted
    missing: bool = False  # tables: whether an empty cell may stand for "not measured"
    labels: str | None = None  # image folders: a table of file, label, patient
    size: int | None = 64  # images: pixels per side
    channels: int = 3  # images

    def __post_init__(self) -> None:
        if self.classes is not None and (
            len(self.classes) < 2 or len(set(self.classes)) < len(self.classes)
        ):
            raise ConfigError(f"data.classes must be two or more distinct names: {self.classes}")


@dataclass(frozen=True, eq=False)
class OwnRecords:
    """What a hospital has. Private, but for the names of classes and columns."""

    features: Features  # (n_records, n_features) float32, or (n_records, c, h, w) uint8
    labels: Ints  # (n_records,) in [0, n_classes)
    patients: Ints  # (n_records,) one code per patient
    class_names: tuple[str, ...]
    columns: tuple[str, ...] | None = None  # names of the features, where they have any

    def __post_init__(self) -> None:
        if not len(self.labels):
            raise DataError("--data must hold records, it is empty")
        if self.labels.min() < 0 or self.labels.max() >= self.n_classes:
            raise DataError(f"labels must be in [0, {self.n_classes}), the number of classes")
        for array in (self.features, self.labels, self.patients):
            array.setflags(write=False)

    @property
    def n_classes(self) -> int:
        """Number of classes of the federation."""
        return len(self.class_names)

    @property
    def n_patients(self) -> int:
        """Number of patients; private."""
        return len(np.unique(self.patients))


@lru_cache(maxsize=2)
def load(data: OwnData) -> OwnRecords:
    """Read everything, once per process: what changed on the disk counts from the next start.

    Raises:
      DataError, ConfigError: the records cannot be used as they are; never says what is in a cell.
    """
    path = Path(data.path)
    if is_folder(path):
        return _images(data)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return _arrays(data)
    if suffix == ".data":
        features, labels = heart.read_file(path, "--data")
        return OwnRecords(features, labels, _each(labels), heart.CLASSES, heart.COLUMNS)
    return _table(data)


def _each(labels: Ints) -> Ints:
    """Every record is a patient."""
    return np.arange(len(labels), dtype=np.int64)


def _images(data: OwnData) -> OwnRecords:
    found = ImageFolder(data.path, data.labels, data.size, data.channels).load()
    labels, names = found.labels, found.class_names
    if data.classes is not None:
        labels, names = _in_order(labels, names, data.classes)
    return OwnRecords(found.features, labels, found.patients, names)


def _arrays(data: OwnData) -> OwnRecords:
    what = f"--data {Path(data.path).name}"
    arrays = read_arrays(Path(data.path), ["features", "labels"], what, NUMBERS, ["patients"])
    features, labels = arrays["features"], arrays["labels"]
    patients = arrays.get("patients", _each(labels))
    if any(one.ndim != 1 or one.dtype.kind not in "ui" for one in (labels, patients)):
        raise DataError(f"{what}: labels and patients must be whole numbers with one axis")
    if not len(features) == len(labels) == len(patients) or features.ndim not in (2, 3, 4):
        raise DataError(f"{what}: features must have one row per label, and 2 to 4 axes")
    if features.ndim > 2:
        if features.dtype != np.uint8:
            raise DataError(f"{what}: images must be uint8, got {features.dtype}")
        features = features if features.ndim == 4 else features[:, np.newaxis]
    else:
        features = _finite(features.astype(np.float32), what, missing=data.missing)
    names = data.classes or tuple(str(code) for code in range(int(labels.max(initial=0)) + 1))
    return OwnRecords(features, labels.astype(np.int64), patients.astype(np.int64), names)


def _finite(features: np.ndarray[Any, Any], what: str, *, missing: bool) -> Features:
    bad = ~np.isfinite(features) & ~(missing & np.isnan(features))
    if bad.any():
        raise DataError(
            f"{what}: features must be finite, {bad.sum()} of {bad.size} values are not"
            + ("" if missing else " (data.missing: true allows NaN)")
        )
    return features


def _table(data: OwnData) -> OwnRecords:
    frame = read_table(Path(data.path), "--data")
    roles = {"data.label": data.label, "data.patient": data.patient}
    for setting, column in roles.items():
        if column is not None and column not in frame.columns:
            raise DataError(
                f"{setting}={column} is no column of --data; it has {listed(list(frame.columns))}"
            )
    if frame.empty:
        raise DataError("--data must hold records, it has a header only")
    if data.classes is None:
        labels, names = class_codes(frame[data.label], f"data.label={data.label}")
    else:
        found, found_names = column_codes(frame[data.label], f"data.label={data.label}")
        labels, names = _in_order(found, found_names, data.classes)
    patients = _each(labels)
    if data.patient is not None:
        patients, _ = column_codes(frame[data.patient], f"data.patient={data.patient}")
    kept = frame.drop(columns=[column for column in roles.values() if column is not None])
    return OwnRecords(
        _columns(kept, missing=data.missing), labels, patients, names, tuple(kept.columns)
    )


def _columns(frame: "pd.DataFrame", *, missing: bool) -> Features:
    from pandas.api import types

    if frame.columns.empty:
        raise DataError("--data must have a feature column besides label and patient")
    text = [name for name in frame.columns if not types.is_numeric_dtype(frame[name].dtype)]
    if text:
        raise DataError(
            f"--data must hold numbers, columns with others: {listed(text)}; recode them as all "
            "hospitals of the federation do"
        )
    blocks = [column_numbers(frame[name], name, missing=missing) for name in frame.columns]
    return np.concatenate(blocks, axis=1)


def _in_order(
    codes: Ints, found: tuple[str, ...], wanted: tuple[str, ...]
) -> tuple[Ints, tuple[str, ...]]:
    """Labels as places in the federation's list of classes."""
    place = np.array([wanted.index(name) if name in wanted else -1 for name in found])
    labels = place[codes].astype(np.int64)
    strange = int((labels < 0).sum())
    if strange:
        raise DataError(
            f"labels must be among data.classes, {strange} of {len(labels)} records have others"
        )
    return labels, wanted
