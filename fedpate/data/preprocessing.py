"""Imputation and scaling, fitted on the coordinator's public pool and on nothing private.

It travels to the hospitals with the train settings and is applied inside each teacher and inside
the student. Whether missing values get flags of their own depends on the data set's public schema
(`Dataset.missing_allowed`), not on whether some record happens to miss a value.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fedpate.errors import DataError
from fedpate.records import Features, content_hash

Floats32 = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Preprocessing:
    """features -> (fill the missing, append a flag for each feature) -> (x - mean) / scale.

    Images have no medians, mean 0 and their full scale; both are then arrays without axes.
    """

    median: Floats32 | None  # (n_features,) what a missing value becomes; None: none may be
    mean: Floats32  # (n_features,), (2 n_features,) with flags, or () for images
    scale: Floats32  # like `mean`, > 0

    def __post_init__(self) -> None:
        arrays = [a for a in (self.median, self.mean, self.scale) if a is not None]
        expected = self.mean.shape if self.median is None else (2 * self.median.size,)
        if (
            any(array.dtype != np.float32 or not np.isfinite(array).all() for array in arrays)
            or self.mean.ndim > 1
            or not self.mean.shape == self.scale.shape == expected
            or not (self.scale > 0).all()
        ):
            raise DataError(
                "preprocessing must be finite float32 arrays of matching shapes with scale > 0, "
                f"got shapes {[array.shape for array in arrays]}"
            )
        for array in arrays:
            array.setflags(write=False)

    @classmethod
    def fit(
        cls, pool: Features, *, missing_allowed: bool = False, full_scale: float | None = None
    ) -> "Preprocessing":
        """Fit on the features of the public pool.

        Args:
          pool: (n_records, n_features) float32, or images of any shape with a `full_scale`.
          missing_allowed: `Dataset.missing_allowed`.
          full_scale: `Dataset.full_scale`; images are divided by it and nothing is fitted.

        Raises:
          DataError: a table that is empty, or has values that it may not have.
        """
        if full_scale is not None:
            return cls(None, np.array(0, np.float32), np.array(full_scale, np.float32))
        if pool.ndim != 2 or not len(pool):
            raise DataError(f"the public pool must be a table with records, got {pool.shape}")
        median = None
        if missing_allowed:
            with warnings.catch_warnings():  # a feature that nobody in the pool has: filled with 0
                warnings.filterwarnings("ignore", "All-NaN slice")
                median = np.nan_to_num(np.nanmedian(pool, axis=0)).astype(np.float32)
        filled = _filled(pool, median).astype(np.float64)
        mean, scale = filled.mean(axis=0), filled.std(axis=0)
        # A feature that is constant in the pool (up to rounding) is centred and left at its scale.
        scale[scale <= 1e-7 * np.maximum(np.abs(mean), 1e-30)] = 1
        return cls(median, mean.astype(np.float32), scale.astype(np.float32))

    def apply(self, features: Features) -> Floats32:
        """(n_records, ...) -> float32, same shape for images, flags appended for tables.

        Raises:
          DataError: another number of features, or values that may not be there.
        """
        if self.mean.ndim == 0:
            return features.astype(np.float32) / self.scale
        if features.shape[1:] != (self.n_features,):
            raise DataError(
                f"features must have {self.n_features} columns as in the public pool, "
                f"got shape {features.shape}"
            )
        return (_filled(features, self.median) - self.mean) / self.scale

    @property
    def n_features(self) -> int | None:
        """Number of columns that `apply` takes; None for images."""
        if self.mean.ndim == 0:
            return None
        return self.mean.size if self.median is None else self.median.size

    def to_arrays(self) -> dict[str, Floats32]:
        """What goes over the wire."""
        arrays = {"mean": self.mean, "scale": self.scale}
        return arrays if self.median is None else {"median": self.median, **arrays}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> "Preprocessing":
        """Read what `to_arrays` wrote; checked, because a peer sent it.

        Raises:
          DataError: other names, shapes, types, or values that are not finite.
        """
        if set(arrays) - {"median"} != {"mean", "scale"}:
            raise DataError("preprocessing must have mean, scale and perhaps median")
        return cls(arrays.get("median"), arrays["mean"], arrays["scale"])

    def hash(self) -> str:
        """Content hash: equal preprocessing has an equal hash everywhere."""
        return content_hash(*(array for _, array in sorted(self.to_arrays().items())))


def _filled(features: Features, median: Floats32 | None) -> Floats32:
    """Missing values replaced and flagged (n, d) -> (n, 2 d), or as they are without medians."""
    table = features.astype(np.float32)
    missing = np.isnan(table)
    if median is not None:
        table = np.concatenate(
            [np.where(missing, median, table), missing], axis=1, dtype=np.float32
        )
    if not np.isfinite(table).all():
        raise DataError(
            f"features must be finite, {(~np.isfinite(table)).any(axis=1).sum()} "
            f"of {len(table)} records have values that are not"
        )
    return table
