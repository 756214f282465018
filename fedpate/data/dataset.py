"""What every source loads: records, labels, who the patients are and which hospital saw them.

Rows are records; several rows may be one patient. Features are float32 (n_records, n_features) for
tables, or uint8 (n_records, channels, height, width) for images. A data set is public in its shape
(number of features and classes, names of classes and hospitals) and private in everything else: no
message of an error holds a cell of it. Arrays are read-only, since a process shares one copy.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from fedpate.errors import DataError
from fedpate.records import Features, Ints, LabelledData

MOST_CLASSES = 1000  # more distinct labels than this is a measurement, not a class

Kind = Literal["tabular", "image"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """All records of one source, before anybody owns them."""

    name: str
    features: Features  # (n_records, n_features) float32, or (n_records, c, h, w) uint8
    labels: Ints  # (n_records,) in [0, n_classes)
    class_names: tuple[str, ...]
    patients: Ints  # (n_records,) one code per patient
    hospitals: Ints | None = None  # (n_records,) in [0, len(hospital_names))
    hospital_names: tuple[str, ...] = ()
    missing_allowed: bool = False  # NaN may stand for "not measured"; known beforehand
    full_scale: float | None = None  # images: the largest value that a pixel can take
    fixed_split: tuple[Ints, Ints] | None = None  # (pool rows, test rows); the rest is private
    columns: tuple[str, ...] | None = None  # names of a table's features, where they have any

    def __post_init__(self) -> None:
        n = len(self.features)
        for what in ("labels", "patients", "hospitals"):
            array = getattr(self, what)
            if array is not None and (array.shape != (n,) or array.dtype != np.int64):
                raise DataError(
                    f"{self.name}: {what} must be int64 of shape ({n},), "
                    f"got {array.dtype} {array.shape}"
                )
        self._check_features()
        self._check_labels()
        for array in (self.features, self.labels, self.patients, self.hospitals):
            if array is not None:
                array.setflags(write=False)

    def _check_features(self) -> None:
        dtype, n_axes = (np.float32, 2) if self.kind == "tabular" else (np.uint8, 4)
        if self.features.dtype != dtype or self.features.ndim != n_axes or not self.features.size:
            raise DataError(
                f"{self.name}: features of kind {self.kind} must be {np.dtype(dtype)} with "
                f"{n_axes} axes and not empty, got {self.features.dtype} {self.features.shape}"
            )
        if self.kind == "tabular":
            bad = ~np.isfinite(self.features)
            if self.missing_allowed:
                bad &= ~np.isnan(self.features)
            if bad.any():
                raise DataError(
                    f"{self.name}: features must be finite, {bad.sum()} of {bad.size} values "
                    f"are not, in {bad.any(axis=1).sum()} records"
                )

    def _check_labels(self) -> None:
        counts = np.bincount(self.labels) if (self.labels >= 0).all() else np.zeros(0)
        if not 0 < len(counts) <= self.n_classes:
            raise DataError(f"{self.name}: labels must be in [0, n_classes={self.n_classes})")
        if (counts > 0).sum() < 2:
            raise DataError(f"{self.name}: labels must have at least 2 classes, found 1")

    @property
    def n_classes(self) -> int:
        """Number of classes; public, and never taken from the votes seen."""
        return len(self.class_names)

    @property
    def kind(self) -> Kind:
        """Images have a full scale, tables do not."""
        return "tabular" if self.full_scale is None else "image"

    def __len__(self) -> int:
        return len(self.features)

    def take(self, rows: Ints) -> LabelledData:
        """The records of the given rows, in that order, as a copy that may be written to."""
        return LabelledData(self.features[rows], self.labels[rows], self.n_classes)


@runtime_checkable
class Source(Protocol):
    """Where records come from; a frozen dataclass whose fields are the settings `data.FIELD`."""

    name: ClassVar[str]

    def __hash__(self) -> int:
        """Equal settings have equal hashes: what they load is loaded once."""

    def load(self) -> Dataset:
        """Read everything.

        Raises:
          DataError: the data cannot be used as they are; never says what is in a cell.
          ConfigError: a setting does not fit the data.
        """


def codes(values: Sequence[object] | npt.NDArray[np.generic]) -> tuple[Ints, tuple[str, ...]]:
    """Sorted distinct values as codes: (n,) -> (n,) int64 codes, and the name of each code."""
    names, inverse = np.unique(np.asarray(values), return_inverse=True)
    return inverse.reshape(-1).astype(np.int64), tuple(str(name) for name in names)
