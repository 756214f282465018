"""Dealing private records: to hospitals, and in each hospital to one shard for each teacher.

Formal guarantees of every partition; tests/data/test_dealing.py checks them for all:
  - patients are dealt, not records: one patient is in one shard, so moves one teacher's vote;
  - every shard of every hospital holds at least one patient, every record is dealt exactly once;
  - given who is at which hospital, a hospital's shards depend on the order of its patients and on
    `rng` only, never on labels or features: replacing one patient's records moves no other patient.
"""

import re
from dataclasses import dataclass

import numpy as np

from fedpate import _check
from fedpate.data.partition import NO_HOSPITALS, Partitioner, Patients
from fedpate.data.splits import first_of_each
from fedpate.errors import ConfigError, DataError
from fedpate.records import Ints
from fedpate.rng import stream, stream_seed

STREAM = "partition"  # the name of the random stream of a federation's dealing


@dataclass(frozen=True, eq=False)
class Partition:
    """Which hospital and which of its shards each private record is in."""

    hospital_of_record: Ints  # (n_records,) in [0, n_hospitals)
    shard_of_record: Ints  # (n_records,) in [0, shards_per_hospital), within the hospital
    n_hospitals: int
    shards_per_hospital: int

    def shards(self, hospital: int) -> list[Ints]:
        """The records of each shard of one hospital, in ascending order."""
        here = np.flatnonzero(self.hospital_of_record == hospital)
        shard = self.shard_of_record[here]
        return [here[shard == index] for index in range(self.shards_per_hospital)]


# Of whoever deals nothing: the coordinator of real hospitals.
NOBODY = Partition(np.zeros(0, np.int64), np.zeros(0, np.int64), 0, 0)


def hospital_count(partitioner: Partitioner, asked: int | None, known: int) -> int:
    """The number of hospitals, from the setting `hospitals` and the number that the data know.

    Raises:
      ConfigError: the two do not fit.
    """
    if not partitioner.real_hospitals:
        if asked is None:
            raise ConfigError(
                f"hospitals must be a whole number >= 1 for partition={partitioner.name}, got null"
            )
        _check.at_least(1, hospitals=asked)
        return asked
    if known == 0:
        raise ConfigError(NO_HOSPITALS)
    if asked not in (None, known):
        raise ConfigError(
            f"hospitals must be null or {known}, the number in the data, "
            f"for partition={partitioner.name}, got {asked}"
        )
    return known


def deal(
    partitioner: Partitioner,
    labels: Ints,
    patients: Ints,
    hospitals: Ints | None,
    n_hospitals: int,
    shards_per_hospital: int,
    rng: np.random.Generator,
) -> Partition:
    """Deal private records to hospitals and shards.

    Args:
      partitioner: the run's `partition`.
      labels: (n_records,) classes.
      patients: (n_records,) patient codes.
      hospitals: (n_records,) hospital codes in [0, n_hospitals), where the data have them.
      n_hospitals: as given by `hospital_count`.
      shards_per_hospital: `teachers_per_hospital`.
      rng: the named stream for this; the only source of randomness.

    Raises:
      ConfigError: too few patients; says the largest `teachers_per_hospital` that works.
      DataError: a patient with records at several real hospitals.
    """
    first, patient_of_record = first_of_each(patients)
    people = Patients(
        labels[first],
        None if hospitals is None else hospitals[first],
        n_hospitals,
        shards_per_hospital,
    )
    if partitioner.real_hospitals and hospitals is not None:
        _require_one_hospital(hospitals, patient_of_record, hospitals[first])
        smallest = int(np.bincount(hospitals[first], minlength=n_hospitals).min())
    else:
        smallest = len(first) // n_hospitals
    _require_enough(partitioner.name, people, smallest)
    home = partitioner.homes(people, rng)
    shard = _shards(home, n_hospitals, shards_per_hospital, rng)
    return Partition(
        home[patient_of_record], shard[patient_of_record], n_hospitals, shards_per_hospital
    )


def own_stream(seed: int, hospital: str) -> np.random.Generator:
    """The generator with which a real hospital deals its own patients to its shards.

    A hospital called hospital-3 deals as the fourth hospital of a simulation with this seed does,
    so that a deployment can be held against a simulation; any other name has a stream of its own.
    """
    simulated = re.fullmatch(r"hospital-(\d{1,6})", hospital)
    if simulated is None:
        return stream(seed, STREAM, hospital)
    # What `Generator.spawn` gives its child of that number.
    spawned = np.random.SeedSequence(stream_seed(seed, STREAM), spawn_key=(int(simulated[1]),))
    return np.random.default_rng(spawned)


def patient_shards(patients: Ints, n_shards: int, rng: np.random.Generator) -> Ints:
    """Deal one hospital's patients to shards of equal size (within one patient).

    Args:
      patients: (n_records,) patient codes.
      n_shards: `teachers_per_hospital`.
      rng: the hospital's named stream.

    Returns:
      (n_records,) shards in [0, n_shards).

    Raises:
      ConfigError: more shards than patients.
    """
    first, patient_of_record = first_of_each(patients)
    if not 1 <= n_shards <= len(first):
        raise ConfigError(
            f"teachers_per_hospital must be in [1, {len(first)} patients], got {n_shards}"
        )
    shard_of_patient = rng.permutation(len(first)) % n_shards
    return shard_of_patient[patient_of_record]


def _shards(home: Ints, n_hospitals: int, n_shards: int, rng: np.random.Generator) -> Ints:
    """(n_patients,) hospitals -> (n_patients,) shards, each hospital with its own generator."""
    shard = np.empty(len(home), dtype=np.int64)
    ends = np.cumsum(np.bincount(home, minlength=n_hospitals))[:-1]
    members = np.split(np.argsort(home, kind="stable"), ends)
    # Spawned generators do not depend on what `rng` drew before: other hospitals' sizes and the
    # labels that shaped them do not reach the shards.
    for here, own in zip(members, rng.spawn(n_hospitals), strict=True):
        shard[here] = patient_shards(here, n_shards, own)
    return shard


def _require_one_hospital(hospitals: Ints, patient_of_record: Ints, home: Ints) -> None:
    stray = home[patient_of_record] != hospitals
    if stray.any():
        raise DataError(
            "partition=natural needs each patient at one hospital, "
            f"{len(np.unique(patient_of_record[stray]))} of {len(home)} patients are at several "
            "(make ids that are only unique within a hospital unique over all)"
        )


def _require_enough(name: str, patients: Patients, smallest: int) -> None:
    """Every shard needs a patient: `smallest` is what the smallest hospital is sure to have."""
    _check.at_least(1, teachers_per_hospital=patients.minimum)
    where = (
        f"partition={name} with {len(patients)} private patients "
        f"in {patients.n_hospitals} hospitals"
    )
    if smallest < 1:
        raise ConfigError(f"hospitals must have a patient each: {where} leaves one without")
    if patients.minimum > smallest:
        raise ConfigError(
            f"teachers_per_hospital must be at most {smallest} for {where}, got {patients.minimum}"
        )
