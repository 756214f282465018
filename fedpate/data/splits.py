"""Private records, public pool and test set: disjoint by patient, stratified by label.

The pool is what the coordinator asks about and fits the preprocessing on; its labels are never
used for training. Nobody's records are in two of the three parts, so a released label or a test
score says nothing more about a private patient than the ledger charges for.
"""

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from fedpate import _check
from fedpate.data.dataset import Dataset, Source
from fedpate.errors import ConfigError, DataError
from fedpate.records import Ints


@runtime_checkable
class Fractions(Protocol):
    """A source that is split at random (others bring their own split)."""

    @property
    def pool_fraction(self) -> float:
        """Share of the patients in the public pool."""

    @property
    def test_fraction(self) -> float:
        """Share of the patients in the test set."""


@dataclass(frozen=True, eq=False)
class Split:
    """Three disjoint sets of rows that cover a data set; ascending unless the source says so."""

    private_rows: Ints
    pool_rows: Ints
    test_rows: Ints


def check_fractions(pool_fraction: float, test_fraction: float) -> None:
    """Both in (0, 1), and something is left for the hospitals.

    Raises:
      ConfigError: otherwise.
    """
    _check.open_unit(**{"data.pool_fraction": pool_fraction, "data.test_fraction": test_fraction})
    if pool_fraction + test_fraction >= 1:
        raise ConfigError(
            "data.pool_fraction + data.test_fraction must be < 1, "
            f"got {pool_fraction} + {test_fraction}"
        )


def first_of_each(patients: Ints) -> tuple[Ints, Ints]:
    """Rows -> patients: (rows of each patient's first record, (n_records,) patient of record)."""
    _, first, patient_of_record = np.unique(patients, return_index=True, return_inverse=True)
    return first.astype(np.int64), patient_of_record.reshape(-1).astype(np.int64)


def split(dataset: Dataset, settings: Source, rng: np.random.Generator) -> Split:
    """Cut a data set in three by patient.

    A random split takes ceil(fraction * patients) patients for the pool and for the test set. A
    patient's stratum is the label of the first record, and each part holds each stratum in
    proportion: of S strata, one with share w of the patients is off by less than 1 + w (S + 1)
    patients in the pool, and by less than twice that in the test set. A real hospital that would be
    left without a private patient gets one back, in exchange for the next private patient with the
    same label whose hospital has others.

    Raises:
      DataError: too few patients for three parts, or a source's own split shares a patient.
    """
    if dataset.fixed_split is not None:
        part = np.zeros(len(dataset), dtype=np.int64)
        pool_rows, test_rows = dataset.fixed_split
        part[pool_rows], part[test_rows] = 1, 2
        result = Split(np.flatnonzero(part == 0), pool_rows, test_rows)
        _require_disjoint(dataset, result)
        return result
    if not isinstance(settings, Fractions):
        raise TypeError(f"{settings.name} has neither a split of its own nor fractions")
    first, patient_of_record = first_of_each(dataset.patients)
    n_pool = _share(settings.pool_fraction, len(first))
    n_test = _share(settings.test_fraction, len(first))
    if n_pool + n_test >= len(first):
        raise DataError(
            f"{dataset.name}: data.pool_fraction={settings.pool_fraction} and "
            f"data.test_fraction={settings.test_fraction} leave no private patient; "
            f"the data set has {len(first)} patients"
        )
    order = _stratified_order(dataset.labels[first], rng)
    part_of_patient = np.zeros(len(first), dtype=np.int64)
    part_of_patient[order[:n_pool]] = 1
    part_of_patient[order[n_pool : n_pool + n_test]] = 2
    if dataset.hospitals is not None:
        _leave_one_private(part_of_patient, order, dataset.labels[first], dataset.hospitals[first])
    part = part_of_patient[patient_of_record]
    return Split(*(np.flatnonzero(part == which) for which in range(3)))


def _share(fraction: float, n: int) -> int:
    return math.ceil(round(fraction * n, 9))  # 0.2 * 35 is 7.000000000000001


def _stratified_order(labels: Ints, rng: np.random.Generator) -> Ints:
    """A random order of patients in which every prefix holds each label in proportion.

    Patient r of the n in a stratum, in random order, is placed at (r + U) / n with one uniform U
    per stratum: systematic sampling, so a stratum of any size has its fair chance of every part.
    """
    shuffled = rng.permutation(len(labels))
    shuffled = shuffled[np.argsort(labels[shuffled], kind="stable")]  # random inside each label
    sizes = np.bincount(labels)
    starts = np.cumsum(sizes) - sizes
    label = labels[shuffled]
    rank = np.arange(len(labels)) - starts[label]
    place = (rank + rng.random(len(sizes))[label]) / sizes[label]
    return shuffled[np.argsort(place, kind="stable")]


def _leave_one_private(parts: Ints, order: Ints, labels: Ints, hospitals: Ints) -> None:
    """Exchange patients between parts, in place, until every hospital has a private one."""
    n_private = np.bincount(hospitals[parts == 0], minlength=hospitals.max() + 1)
    for hospital in np.unique(hospitals[n_private[hospitals] == 0]):
        back = order[hospitals[order] == hospital][-1]
        others = (
            (parts[order] == 0)
            & (labels[order] == labels[back])
            & (n_private[hospitals[order]] > 1)
        )
        if others.any():  # if not, whoever needs all hospitals refuses
            instead = order[others.argmax()]
            parts[instead], parts[back] = parts[back], 0
            n_private[hospitals[instead]] -= 1
            n_private[hospital] += 1


def _require_disjoint(dataset: Dataset, parts: Split) -> None:
    rows = (parts.private_rows, parts.pool_rows, parts.test_rows)
    patients = [np.unique(dataset.patients[part]) for part in rows]
    if len(np.unique(np.concatenate(patients))) < sum(map(len, patients)):
        raise DataError(f"{dataset.name}: pool, test set and private records share patients")
