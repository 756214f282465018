"""Which hospital a private patient is at: `partition=NAME`, a closed list.

`iid`, `dirichlet` and `quantity` make hospitals up for a simulation; `natural` takes real ones.
What happens inside a hospital, and the guarantees, are in `fedpate.data.dealing`.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.records import Ints


@dataclass(frozen=True, eq=False)
class Patients:
    """What a partition may look at: one entry per private patient."""

    labels: Ints  # (n_patients,) label of the patient's first record
    hospitals: Ints | None  # (n_patients,) in [0, n_hospitals), where the data name them
    n_hospitals: int
    minimum: int  # patients that every hospital must get: teachers_per_hospital

    def __len__(self) -> int:
        return len(self.labels)


@runtime_checkable
class Partitioner(Protocol):
    """Sends patients to hospitals; a frozen dataclass whose fields are settings `partition.FIELD`.

    `real_hospitals`: takes the hospitals of the data, so `hospitals` may be null.
    """

    name: ClassVar[str]
    real_hospitals: ClassVar[bool]

    def __hash__(self) -> int:
        """Equal settings have equal hashes: what they give is computed once."""

    def homes(self, patients: Patients, rng: np.random.Generator) -> Ints:
        """(n_patients,) the hospital of each; all get `minimum` if `patients` are enough for it."""


@dataclass(frozen=True)
class Iid:
    """Patients at random, the same number (within one) to every hospital."""

    name: ClassVar[str] = "iid"
    real_hospitals: ClassVar[bool] = False

    def homes(self, patients: Patients, rng: np.random.Generator) -> Ints:
        """See `Partitioner.homes`."""
        return rng.permutation(len(patients)) % patients.n_hospitals


@dataclass(frozen=True)
class Dirichlet:
    """Label skew: each class is spread over the hospitals by its own Dirichlet(alpha) draw.

    Small alpha: a hospital sees few classes; large alpha: as iid. A hospital that comes out with
    fewer patients than it has teachers is filled up, one random patient at a time, from the
    hospital that is largest then. Yurochkin et al. 2019, arXiv:1905.12022, section 4.
    """

    name: ClassVar[str] = "dirichlet"
    real_hospitals: ClassVar[bool] = False
    alpha: float = 0.5

    def __post_init__(self) -> None:
        _check.positive(**{"partition.alpha": self.alpha})

    def homes(self, patients: Patients, rng: np.random.Generator) -> Ints:
        """See `Partitioner.homes`."""
        home = np.empty(len(patients), dtype=np.int64)
        for label in np.unique(patients.labels):
            members = rng.permutation(np.flatnonzero(patients.labels == label))
            sizes = _dirichlet_sizes(len(members), self.alpha, patients.n_hospitals, rng)
            home[members] = np.repeat(np.arange(patients.n_hospitals), sizes)
        _fill_up(home, patients.n_hospitals, patients.minimum, rng)
        return home


@dataclass(frozen=True)
class Quantity:
    """Size skew: one patient for each teacher, the rest to hospitals by Dirichlet(alpha)."""

    name: ClassVar[str] = "quantity"
    real_hospitals: ClassVar[bool] = False
    alpha: float = 0.5

    def __post_init__(self) -> None:
        _check.positive(**{"partition.alpha": self.alpha})

    def homes(self, patients: Patients, rng: np.random.Generator) -> Ints:
        """See `Partitioner.homes`."""
        n_hospitals, minimum = patients.n_hospitals, patients.minimum
        spare = len(patients) - n_hospitals * minimum
        sizes = minimum + _dirichlet_sizes(spare, self.alpha, n_hospitals, rng)
        return rng.permutation(np.repeat(np.arange(n_hospitals), sizes))


@dataclass(frozen=True)
class Natural:
    """The hospitals that the data name. `hospitals` is null, or exactly their number."""

    name: ClassVar[str] = "natural"
    real_hospitals: ClassVar[bool] = True

    def homes(self, patients: Patients, rng: np.random.Generator) -> Ints:  # noqa: ARG002
        """See `Partitioner.homes`: nothing is random."""
        if patients.hospitals is None:
            raise ConfigError(NO_HOSPITALS)
        return patients.hospitals


NO_HOSPITALS = (
    "partition=natural needs data with hospitals (for data=csv: data.hospital), these have none"
)

PARTITIONS: dict[str, type[Partitioner]] = {
    partitioner.name: partitioner for partitioner in (Iid, Dirichlet, Quantity, Natural)
}


def _dirichlet_sizes(n: int, alpha: float, n_parts: int, rng: np.random.Generator) -> Ints:
    """`n` as `n_parts` whole numbers in Dirichlet(alpha) proportions: rounded cumulative sums."""
    ends = np.rint(n * np.cumsum(rng.dirichlet(np.full(n_parts, alpha)))).astype(np.int64)
    ends[-1] = n
    return np.diff(ends, prepend=0)


def _fill_up(home: Ints, n_hospitals: int, minimum: int, rng: np.random.Generator) -> None:
    """Move patients from the largest hospital to those below the minimum, in place."""
    sizes = np.bincount(home, minlength=n_hospitals)
    for hospital in range(n_hospitals):
        while sizes[hospital] < minimum:
            largest = int(sizes.argmax())
            home[rng.choice(np.flatnonzero(home == largest))] = hospital
            sizes[largest] -= 1
            sizes[hospital] += 1
