"""A hospital's own rules: `policy.yaml`, and whether a request keeps to them. Pure functions.

The file belongs to the hospital. Every rule is written in it (`null` where there is no limit): a
rule that was forgotten is an error and never a default. A request is held against the rules with
what the hospital itself knows: what it has answered and spent, how few patients its smallest
teacher would see. What leaves the hospital is the code of the first broken rule, never a number.
"""

import datetime as dt
import json
import re
from collections.abc import Collection
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from fedpate import _check
from fedpate.errors import ConfigError
from fedpate.federation import plain, yaml_file
from fedpate.federation.refusals import Code, Refusal

TRUST = ("coordinator", "local", "secure_aggregation")
VOTES = ("labels", "probabilities")
INSTALLED = "installed"
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Task:
    """What may be asked about."""

    classes: int | None
    features: tuple[str, ...] | None  # the columns of a question, in order

    def __post_init__(self) -> None:
        if self.classes is not None:
            _check.at_least(2, **{"task.classes": self.classes})


@dataclass(frozen=True)
class Queries:
    """How much may be asked; a repeated question is not a new one."""

    per_day: int | None  # in UTC days
    total: int | None  # over the federation's lifetime
    near_duplicates: int | None  # of the total, those that hardly differ from an earlier one

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is not None:
                _check.at_least(0, **{f"queries.{name}": value})


@dataclass(frozen=True)
class Epsilon:
    """What all answers together may cost, per unit, replace-one, at `delta`."""

    patient: float | None
    hospital: float | None
    query: float | None  # per patient, of a single question: how weak a mechanism may be
    delta: float

    def __post_init__(self) -> None:
        _check.open_unit(**{"epsilon.delta": self.delta})
        for name in ("patient", "hospital", "query"):
            if getattr(self, name) is not None:
                _check.positive(**{f"epsilon.{name}": getattr(self, name)})


@dataclass(frozen=True)
class Teachers:
    """What may be trained."""

    at_most: int | None
    kinds: tuple[str, ...] | None
    patients_per_teacher: int  # fewest

    def __post_init__(self) -> None:
        if self.at_most is not None:
            _check.at_least(1, **{"teachers.at_most": self.at_most})
        _check.at_least(1, **{"teachers.patients_per_teacher": self.patients_per_teacher})
        for kind in self.kinds or ():
            _check.one_of(plain.registry("teacher"), **{"teachers.kinds": kind})


@dataclass(frozen=True)
class Policy:
    """All rules of one hospital."""

    task: Task
    queries: Queries
    epsilon: Epsilon
    teachers: Teachers
    trust: tuple[str, ...]  # who may add the noise
    submitters: tuple[str, ...] | None
    bundle: str  # "installed", or the SHA-256 of the one bundle that may come
    approval: str  # "automatic" or "manual": every new run waits for a person
    votes: tuple[str, ...]  # what may be counted: probabilities tell a coordinator more

    def __post_init__(self) -> None:
        if not self.trust:
            raise ConfigError(f"trust must name at least one of {', '.join(TRUST)}")
        for trust in self.trust:
            _check.one_of(TRUST, trust=trust)
        _check.one_of(("automatic", "manual"), approval=self.approval)
        for votes in self.votes:
            _check.one_of(VOTES, votes=votes)
        if self.bundle != INSTALLED and not _SHA256.fullmatch(self.bundle):
            raise ConfigError(
                f"bundle must be {INSTALLED!r} or a SHA-256 in hexadecimal, got {self.bundle!r}"
            )

    @classmethod
    def read(cls, path: Path) -> "Policy":
        """Read a policy file.

        Raises:
          ConfigError: unreadable, not YAML, or a rule that is unknown, missing or wrong.
        """
        what = "KIT/policy.yaml"
        content = yaml_file.read(path, what)
        try:
            return plain.loads(cls, json.dumps(content, default=str))
        except ConfigError as error:
            raise ConfigError(f"{what}: {error}") from error

    def hash(self) -> str:
        """Names these rules: what an audit log says was in force."""
        return sha256(plain.dumps(self).encode()).hexdigest()

    def limits(self) -> dict[str, Any]:
        """What a coordinator is told when it says hello: limits, no facts about data."""
        return {
            "classes": self.task.classes,
            "queries": asdict(self.queries),
            "epsilon": asdict(self.epsilon),
            "teachers": {"at_most": self.teachers.at_most, "kinds": self.teachers.kinds},
            "trust": self.trust,
            "votes": self.votes,
            "approval": self.approval,
        }


@dataclass(frozen=True)
class Request:
    """What a coordinator states before anything is trained or answered."""

    run: str  # the same for all requests of one run
    submitter: str
    classes: int
    features: tuple[str, ...] | None  # None: questions without named columns, such as images
    new_queries: int  # not counting questions that were answered before
    left: int  # how many the run may still ask by what it stated
    teachers: int
    teacher_kind: str
    trust: str
    votes: str = "labels"

    def __post_init__(self) -> None:
        _check.at_least(2, classes=self.classes)
        _check.at_least(0, new_queries=self.new_queries)
        _check.at_least(1, teachers=self.teachers)


@dataclass(frozen=True)
class Standing:
    """What the hospital knows by itself, as it would be if it said yes to the money.

    `patient` and `hospital` are by its own accountant: everything charged before and the price of
    the new queries by the mechanism that was stated.
    """

    answered_today: int  # before this request
    answered: int
    patient: float  # epsilon after it, at the policy's delta
    hospital: float
    query: float  # epsilon of one of the new queries, per patient
    near_duplicates: int  # among all queries after it
    fewest_patients: int  # of any teacher that this request would train or ask
    approved: Collection[str] = ()  # runs that a person approved


def today(now: dt.datetime) -> str:
    """The day to which a query counts; days are UTC so that no clock change makes a longer one."""
    return now.astimezone(dt.UTC).date().isoformat()


def broken(policy: Policy, request: Request, standing: Standing) -> list[Code]:
    """The rules that a request breaks, in the order in which they are looked at; [] if none."""
    limits, task, teachers = policy.queries, policy.task, policy.teachers
    asked = request.new_queries
    rules = {
        Code.POLICY_SUBMITTER: not _within(request.submitter, policy.submitters),
        Code.POLICY_CLASSES: task.classes not in (None, request.classes),
        Code.POLICY_FEATURES: task.features not in (None, request.features),
        Code.POLICY_TRUST: request.trust not in policy.trust,
        Code.POLICY_VOTES: request.votes not in policy.votes,
        Code.POLICY_TEACHER_KIND: not _within(request.teacher_kind, teachers.kinds),
        Code.POLICY_TEACHERS: _over(request.teachers, teachers.at_most),
        Code.POLICY_PATIENTS: standing.fewest_patients < teachers.patients_per_teacher,
        Code.POLICY_QUERIES_PER_DAY: _over(standing.answered_today + asked, limits.per_day),
        Code.POLICY_QUERIES: _over(standing.answered + asked, limits.total),
        Code.POLICY_EPSILON_PATIENT: _over(standing.patient, policy.epsilon.patient),
        Code.POLICY_EPSILON_HOSPITAL: _over(standing.hospital, policy.epsilon.hospital),
        Code.POLICY_EPSILON_QUERY: _over(standing.query, policy.epsilon.query),
        Code.POLICY_NEAR_DUPLICATES: _over(standing.near_duplicates, limits.near_duplicates),
        Code.POLICY_STATED: asked > request.left,
        Code.POLICY_APPROVAL: policy.approval == "manual" and request.run not in standing.approved,
    }
    return [code for code, is_broken in rules.items() if is_broken]


def require(policy: Policy, request: Request, standing: Standing) -> None:
    """Refuse a request that breaks a rule.

    Raises:
      Refusal: with the code of the first broken rule.
    """
    for code in broken(policy, request, standing):
        raise Refusal(code)


def require_bundle(policy: Policy, bundle: bytes, *, thin: bool) -> None:
    """Refuse a bundle that is not thin, or not the one that the policy names.

    Raises:
      Refusal: BUNDLE.
    """
    named = policy.bundle in (INSTALLED, sha256(bundle).hexdigest())
    if not (thin and named):
        raise Refusal(Code.BUNDLE)


def _within(value: str, allowed: Collection[str] | None) -> bool:
    return allowed is None or value in allowed


def _over(value: float, limit: float | None) -> bool:
    """Whether a limit is passed; NaN passes every limit."""
    return limit is not None and not value <= limit
