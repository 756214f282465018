"""A simulated federation's data: one data set, split, and dealt to hospitals, from one seed.

Only simulations come here. A real hospital loads its own source and deals its own patients with
`fedpate.data.dealing.patient_shards`; nobody holds what this module holds.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fedpate import rng
from fedpate.data.dataset import Dataset, Source
from fedpate.data.dealing import STREAM, Partition, deal, hospital_count
from fedpate.data.partition import Partitioner
from fedpate.data.preprocessing import Preprocessing
from fedpate.data.schema import Schema
from fedpate.data.sources import load_cached
from fedpate.data.splits import Split, first_of_each, split
from fedpate.records import Ints, LabelledData, QueryBatch


@dataclass(frozen=True, eq=False)
class Federated:
    """Who holds what."""

    dataset: Dataset
    split: Split
    partition: Partition  # of split.private_rows

    def shards(self, hospital: int, *, one_per_patient: bool = False) -> list[LabelledData]:
        """One hospital's records, one entry for each of its teachers.

        Args:
          hospital: its number.
          one_per_patient: leave out all but each patient's first record, so that a patient is one.
        """
        rows = self.split.private_rows
        shards = [rows[shard] for shard in self.partition.shards(hospital)]
        if one_per_patient:
            shards = [
                here[np.sort(first_of_each(self.dataset.patients[here])[0])] for here in shards
            ]
        return [self.dataset.take(here) for here in shards]

    def private(self) -> LabelledData:
        """Everybody's records: for baselines that no deployment could compute."""
        return self.dataset.take(self.split.private_rows)

    def pool(self) -> QueryBatch:
        """The coordinator's unlabeled records; a query's id is its place in the pool."""
        rows = self.split.pool_rows
        return QueryBatch(np.arange(len(rows), dtype=np.int64), self.dataset.features[rows])

    def pool_labels(self) -> Ints:
        """True labels of the pool: only to score released labels in a simulation."""
        return self.dataset.labels[self.split.pool_rows]

    def schema(self) -> Schema:
        """What goes into a student and what comes out; no more of it than the pool shows."""
        return Schema.of_pool(
            self.dataset.features[self.split.pool_rows],
            self.dataset.class_names,
            self.dataset.columns,
            missing_allowed=self.dataset.missing_allowed,
        )

    def test(self) -> LabelledData:
        """What the student is scored on."""
        return self.dataset.take(self.split.test_rows)

    def preprocessing(self) -> Preprocessing:
        """Fitted on the public pool only."""
        return Preprocessing.fit(
            self.dataset.features[self.split.pool_rows],
            missing_allowed=self.dataset.missing_allowed,
            full_scale=self.dataset.full_scale,
        )


@lru_cache(maxsize=16)  # rows, not records: a sweep goes round its seeds
def federate(
    source: Source,
    partitioner: Partitioner,
    hospitals: int | None,
    shards_per_hospital: int,
    seed: int,
) -> Federated:
    """Load, split and deal; computed once per process and settings.

    Args:
      source: the run's `data`.
      partitioner: the run's `partition`.
      hospitals: the setting; None takes the hospitals of the data (`partition=natural` only).
      shards_per_hospital: `teachers_per_hospital`.
      seed: the run's seed.

    Raises:
      ConfigError, DataError: what `Source.load`, `split` and `deal` raise.
    """
    dataset = load_cached(source)
    parts = split(dataset, source, rng.stream(seed, "split"))
    rows = parts.private_rows
    partition = deal(
        partitioner,
        dataset.labels[rows],
        dataset.patients[rows],
        None if dataset.hospitals is None else dataset.hospitals[rows],
        hospital_count(partitioner, hospitals, len(dataset.hospital_names)),
        shards_per_hospital,
        rng.stream(seed, STREAM),
    )
    return Federated(dataset, parts, partition)
