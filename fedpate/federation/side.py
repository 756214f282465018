"""What the coordinator has before it asks anybody: public records, and what it will tell hospitals.

In a simulation it is also told the truth (`Side.truth`), which scores a run and trains baselines
and is used for nothing else.
"""

from dataclasses import dataclass

from fedpate import rng
from fedpate.data.federated import Federated
from fedpate.data.preprocessing import Preprocessing
from fedpate.data.schema import Schema
from fedpate.errors import ConfigError
from fedpate.federation.settings import Run, TrainSettings
from fedpate.records import LabelledData, QueryBatch


@dataclass(frozen=True, eq=False)
class Side:
    """The coordinator's side of one run."""

    data_name: str
    n_classes: int
    pool: QueryBatch  # unlabeled
    test: LabelledData
    preprocessing: Preprocessing  # fitted on the pool
    settings: TrainSettings
    truth: Federated | None  # simulation only
    federation: str  # in whose name the ledger is kept
    hospitals: tuple[str, ...]  # the names of those expected
    engine: str  # what carries the messages
    ledger: str | None = None  # path; None: ledger.sqlite in the run directory
    columns: tuple[str, ...] | None = None  # of a query, where they have names
    submitter: str | None = None  # deployment only: who asks
    schema: Schema | None = None  # of the records; goes into the student's file

    @property
    def n_hospitals(self) -> int:
        """How many hospitals are expected."""
        return len(self.hospitals)


def choose_queries(run: Run, pool: QueryBatch) -> QueryBatch:
    """`queries` records of the pool in random order: fewer queries are a prefix of more.

    Raises:
      ConfigError: more queries than records.
    """
    if run.queries > len(pool):
        raise ConfigError(f"queries must be at most the pool's {len(pool)}, got {run.queries}")
    order = rng.stream(run.seed, "queries").permutation(len(pool))
    return pool.take(order[: run.queries])
