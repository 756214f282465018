"""Real hospitals that a simulation can work with: none too small, one for each patient.

A hospital with fewer than `data.fewest_patients` patients, before any of them goes to the public
pool or the test set, is small. `data.small_hospitals=drop` leaves its records out; `pool` joins
small hospitals, in their order, until a group has enough, and then begins the next; those left over
join the last group, or the smallest other hospital where there is no group. Which hospitals there
are and how many patients they have counts as public here.
"""

import dataclasses
from typing import Any

import numpy as np

from fedpate import _check
from fedpate.data.dataset import Dataset
from fedpate.errors import ConfigError
from fedpate.records import Ints

RULES = ("pool", "drop")
NOWHERE = -1  # the hospital of records that are left out


def check_rule(small_hospitals: str, fewest_patients: int) -> None:
    """The two settings, before anything is read.

    Raises:
      ConfigError: an unknown rule, or a number that is not a number of patients.
    """
    _check.one_of(RULES, **{"data.small_hospitals": small_hospitals})
    _check.at_least(1, **{"data.fewest_patients": fewest_patients})


def without_small(dataset: Dataset, *, rule: str, fewest_patients: int) -> Dataset:
    """The data set with its small hospitals pooled or dropped; without hospitals, as it is.

    Args:
      dataset: one without a split of its own.
      rule: `data.small_hospitals`, one of `RULES`.
      fewest_patients: `data.fewest_patients`.

    Raises:
      ConfigError: no hospital, or not even all of them together, have so many patients.
    """
    hospitals, names = dataset.hospitals, dataset.hospital_names
    if hospitals is None:
        return dataset
    _, first = np.unique(_pairs(dataset.patients, hospitals), return_index=True)
    sizes = np.bincount(hospitals[first], minlength=len(names))  # patients
    most = int(sizes.max() if rule == "drop" else sizes.sum())
    if fewest_patients > most:
        who = "the largest hospital" if rule == "drop" else "all hospitals together"
        raise ConfigError(
            f"data.fewest_patients must be at most {most}, the patients of {who}, "
            f"got {fewest_patients}"
        )
    home = np.arange(len(names))
    home[sizes < fewest_patients] = NOWHERE
    if rule == "pool":
        for group in _groups(sizes, fewest_patients):
            home[group] = group[0]
    kept = np.flatnonzero(home[hospitals] != NOWHERE)
    left, recoded = np.unique(home[hospitals[kept]], return_inverse=True)
    members = (np.flatnonzero(home == hospital) for hospital in left)
    return _records(
        dataset,
        kept,
        hospitals=recoded.reshape(-1).astype(np.int64),
        hospital_names=tuple(" + ".join(names[member] for member in group) for group in members),
    )


def at_one_hospital(dataset: Dataset) -> Dataset:
    """Each patient's records at the hospital with most of them, the first of several in order.

    For data in which people were at several hospitals: were their records elsewhere kept, one
    patient would move the votes of several hospitals.
    """
    patients, hospitals = dataset.patients, dataset.hospitals
    if hospitals is None:
        return dataset
    pair_of_record = _pairs(patients, hospitals)
    pair, first, count = np.unique(pair_of_record, return_index=True, return_counts=True)
    order = np.lexsort((hospitals[first], -count, patients[first]))
    _, best = np.unique(patients[first][order], return_index=True)
    kept = np.flatnonzero(np.isin(pair_of_record, pair[order][best]))
    return _records(dataset, kept, hospitals=hospitals[kept])


def _records(dataset: Dataset, kept: Ints, **changes: Any) -> Dataset:
    """The data set of some of its records."""
    return dataclasses.replace(
        dataset,
        features=dataset.features[kept],
        labels=dataset.labels[kept],
        patients=dataset.patients[kept],
        **changes,
    )


def _pairs(patients: Ints, hospitals: Ints) -> Ints:
    """One code for each patient and hospital."""
    return patients * (int(hospitals.max()) + 1) + hospitals


def _groups(sizes: Ints, fewest: int) -> list[list[int]]:
    """Small hospitals to be joined; one list for each group, each beginning with its name-giver."""
    groups: list[list[int]] = []
    waiting: list[int] = []
    for hospital in np.flatnonzero((sizes > 0) & (sizes < fewest)).tolist():
        waiting.append(hospital)
        if sizes[waiting].sum() >= fewest:
            groups.append(waiting)
            waiting = []
    if waiting and groups:
        groups[-1] += waiting
    elif waiting:
        large = np.flatnonzero(sizes >= fewest)
        groups.append([int(large[sizes[large].argmin()]), *waiting])
    return groups
