"""What a run is: every setting that a user types, validated, and as JSON through closed registries.

`Run` is the coordinator's whole knowledge; `TrainSettings` is the part of it that a hospital
receives. JSON names a part by the name that a user types (`mechanism=gnmax`) and never by a Python
path: the coordinator must not choose what code runs inside a hospital.
"""

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any, Self

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.federation import overrides, plain
from fedpate.learning import extras
from fedpate.learning.own_models import Models
from fedpate.learning.selection import RandomQueries
from fedpate.privacy.soft_votes import as_voted

ENGINES = ("inprocess", "pool", "flower")
TRUSTS = ("coordinator", "local", "secure_aggregation")
BASELINES = ("none", "local", "standard", "all")  # `fedpate.federation.baselines`
ON_BUDGET = ("stop", "truncate")
VOTES = ("labels", "probabilities")


@dataclass(frozen=True)
class Budget:
    """The most epsilon, at `privacy.delta`, that a ledger may ever reach; None is no limit."""

    patient: float | None = None
    hospital: float | None = None

    def __post_init__(self) -> None:
        for unit, limit in (("patient", self.patient), ("hospital", self.hospital)):
            if limit is not None:
                _check.positive(**{f"privacy.budget.{unit}": limit})


@dataclass(frozen=True)
class Privacy:
    """At which delta the price is stated, and what it may not pass."""

    delta: float = 1e-5
    # Per patient. Calibrates the noise before any training; a noise scale beside it then says only
    # in which proportion a mechanism's several scales are.
    target_epsilon: float | None = None
    budget: Budget = field(default_factory=Budget)
    on_budget: str = "stop"
    ledger: str | None = None  # path; None: ledger.sqlite in the run directory

    def __post_init__(self) -> None:
        _check.open_unit(**{"privacy.delta": self.delta})
        _check.one_of(ON_BUDGET, **{"privacy.on_budget": self.on_budget})
        if self.target_epsilon is not None:
            _check.positive(**{"privacy.target_epsilon": self.target_epsilon})


@dataclass(frozen=True)
class Audit:
    """What a simulation checks about itself when it is done."""

    leave_one_out: bool = False  # leave one patient out: at most one teacher may change


@dataclass(frozen=True)
class Run:
    """One run, complete. The parts typed `Any` are instances of registered classes."""

    data: Any
    partition: Any
    teacher: Any
    mechanism: Any
    student: Any
    privacy: Privacy = field(default_factory=Privacy)
    audit: Audit = field(default_factory=Audit)
    tracking: Any = None  # where the finished run is told to; None: nowhere
    trust: str = "coordinator"
    queries_by: Any = None  # None becomes random: a default of a class of its own could not change
    hospitals: int | None = 10  # None: as many as the data has (partition=natural)
    teachers_per_hospital: int = 5
    queries: int = 100
    seed: int = 0
    noise_seed: int | None = None  # research only: voids the guarantee
    engine: str = "inprocess"
    min_hospitals: int | None = None  # None: all of them
    device: str = "cpu"
    votes: str = "labels"
    # Hospitals that train something else: becomes name -> `overrides.Override`.
    hospital_overrides: Any = None
    models: Models = field(default_factory=Models)  # simulation only: what hospitals have already
    store: str | None = None  # folder of trained teachers; None: the user's cache folder
    # The least recently used teachers are removed above it; never those that a run may need.
    store_gb: float = 4.0
    # Releases between which the student is trained: with mechanism=interactive, or where
    # `queries_by` looks at the student.
    rounds: int = 4
    baselines: str = "standard"  # simulation only: the models that the student is compared with
    message_mb: float = 32.0  # bound on one message (features, votes), so on memory at both ends
    join_s: float = 120.0  # how long the coordinator waits for hospitals to connect
    reply_s: float = 21600.0  # how long the coordinator waits for one round of replies
    verbose: bool = False

    def __post_init__(self) -> None:
        chosen = {"False": "none", "True": "standard"}  # what YAML's false and true arrive as
        object.__setattr__(self, "baselines", chosen.get(str(self.baselines), self.baselines))
        _check.one_of(BASELINES, baselines=self.baselines)
        if self.baselines == "all":
            extras.require("opacus", "baselines=all")
        _check.one_of(TRUSTS, trust=self.trust)
        if self.queries_by is None:
            object.__setattr__(self, "queries_by", RandomQueries())
        _check.one_of(ENGINES, engine=self.engine)
        _check.one_of(VOTES, votes=self.votes)
        _check.at_least(1, teachers_per_hospital=self.teachers_per_hospital, queries=self.queries)
        _check.at_least(1, rounds=self.rounds)
        _check.at_least(0, seed=self.seed)
        _check.positive(
            store_gb=self.store_gb,
            message_mb=self.message_mb,
            join_s=self.join_s,
            reply_s=self.reply_s,
        )
        if self.noise_seed is not None:
            _check.at_least(0, noise_seed=self.noise_seed)
        if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", self.device):
            raise ConfigError(f"device must be cpu, mps, cuda or cuda:N, got {self.device!r}")
        named = overrides.read(self.hospital_overrides, self.hospitals)
        object.__setattr__(self, "hospital_overrides", named)
        self._check_hospitals()
        self._check_trust()
        self._check_noise()
        self._check_votes()

    def _check_hospitals(self) -> None:
        if self.hospitals is None:
            if not getattr(self.partition, "real_hospitals", False):
                raise ConfigError(
                    "hospitals must be a whole number >= 1 unless partition=natural, got None"
                )
        else:
            _check.at_least(1, hospitals=self.hospitals)
        if self.min_hospitals is not None:
            _check.at_least(1, min_hospitals=self.min_hospitals)
            if self.hospitals is not None and self.min_hospitals > self.hospitals:
                raise ConfigError(
                    f"min_hospitals must be <= hospitals={self.hospitals}, got {self.min_hospitals}"
                )

    def _check_trust(self) -> None:
        if self.trust == "secure_aggregation":
            raise ConfigError(
                "trust must be coordinator or local in this version, got 'secure_aggregation'"
            )
        if self.trust == "local" and not hasattr(self.mechanism, "randomize"):
            raise ConfigError(
                "trust=local needs a mechanism that a hospital can apply to its own answers "
                f"(laplace, randomized_response), got mechanism={self.mechanism.name}"
            )

    def _check_votes(self) -> None:
        as_voted(self.mechanism, self.votes)
        if self.votes == "probabilities" and self.trust != "coordinator":
            raise ConfigError(
                f"votes=probabilities needs trust=coordinator, got trust={self.trust}"
            )

    def _check_noise(self) -> None:
        target, setting = self.privacy.target_epsilon, noise_setting(self.mechanism)
        if setting is None:
            if target is not None:
                raise ConfigError(
                    "privacy.target_epsilon needs a mechanism with noise, "
                    f"got mechanism={self.mechanism.name}"
                )
            return
        if getattr(self.mechanism, setting) is None and target is None:
            raise ConfigError(f"mechanism.{setting} or privacy.target_epsilon must be given")

    def to_json(self) -> str:
        """The run as one JSON object; `from_json` gives an equal run."""
        return plain.dumps(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote.

        Raises:
          ConfigError: not JSON, an unknown key or name, a wrong type, or a refused value.
        """
        return plain.loads(cls, text)


def noise_setting(mechanism: Any) -> str | None:
    """The field of a mechanism that calibration fills; None: the mechanism has no noise."""
    names = {item.name for item in dataclasses.fields(mechanism)}
    return next((name for name in ("noise_scale", "flip_probability") if name in names), None)


@dataclass(frozen=True)
class Simulation:
    """What only a simulated hospital is told; a real one refuses a request that carries it."""

    data: Any
    partition: Any
    hospitals: int
    folder: str  # the run's private work folder: gone when the run ends
    store: str  # folder of trained teachers, shared by all simulated hospitals
    models: Models = field(default_factory=Models)  # what this hospital has already
    store_gb: float = 4.0
    noise_seed: int | None = None  # seeds the hospitals' own noise (trust=local)


@dataclass(frozen=True)
class Stated:
    """What a coordinator states to real hospitals before it asks: they hold it to its word."""

    submitter: str  # who asks for the run
    trust: str  # who adds the noise
    mechanism: Any  # with its noise; nothing is left to be calibrated
    queries: int  # the most that the run asks
    delta: float
    features: tuple[str, ...] | None = None  # the columns of a question; None: they have no names

    def __post_init__(self) -> None:
        _check.one_of(TRUSTS, trust=self.trust)
        _check.at_least(1, queries=self.queries)
        _check.open_unit(**{"privacy.delta": self.delta})
        if not 0 < len(self.submitter) <= 100 or not self.submitter.isprintable():
            raise ConfigError("submitter must be 1 to 100 printable characters")


@dataclass(frozen=True)
class TrainSettings:
    """All that a hospital is told about a run, beside the preprocessing of the public pool."""

    teacher: Any
    teachers_per_hospital: int
    n_classes: int
    seed: int
    device: str = "cpu"
    votes: str = "labels"
    mechanism: Any = None  # trust=local: what the hospital randomizes its answers with
    simulation: Simulation | None = None
    stated: Stated | None = None  # None in a simulation; a real hospital refuses without

    def __post_init__(self) -> None:
        _check.at_least(1, teachers_per_hospital=self.teachers_per_hospital)
        _check.at_least(2, n_classes=self.n_classes)
        _check.one_of(VOTES, votes=self.votes)
        _check.at_least(0, seed=self.seed)
        if self.mechanism is not None and not hasattr(self.mechanism, "randomize"):
            raise ConfigError(
                "mechanism must be one that a hospital can apply (laplace, randomized_response), "
                f"got {self.mechanism.name}"
            )

    def to_json(self) -> str:
        """The settings as one JSON object; equal settings give equal text."""
        return plain.dumps(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote; raises `ConfigError` as `Run.from_json` does."""
        return plain.loads(cls, text)
