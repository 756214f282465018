"""A real hospital's own rules and its own account, in front of its teachers.

Formal guarantees, whatever the coordinator says or does:
  - nothing is trained or answered that breaks a rule of `policy.yaml`; the refusal says which rule;
  - what an answer costs by the mechanism that was stated is charged to the hospital's own ledger,
    durably, before the teachers are asked: votes that were not paid for have never left;
  - a repeated question (same teachers, same mechanism, same content) gets the same answer and costs
    nothing; with other teachers or another mechanism it is a new question;
  - a run that was interrupted, or a message that comes twice, is not charged twice.

With trust=coordinator the price rests on the coordinator's word that it adds the noise it states;
with trust=local this hospital adds that noise itself.
"""

import datetime as dt
import logging
from collections.abc import Callable, Collection
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import BudgetExceeded, ConfigError
from fedpate.federation import plain, policy
from fedpate.federation.hospital import Hospital
from fedpate.federation.hospital_log import run_id
from fedpate.federation.near_duplicates import NearDuplicates
from fedpate.federation.policy import Policy, Request, Standing
from fedpate.federation.private_teachers import is_private
from fedpate.federation.refusals import Code, Refusal
from fedpate.federation.settings import Stated, TrainSettings
from fedpate.privacy.accounting import guarantee
from fedpate.privacy.book import Book
from fedpate.privacy.events import Event, from_private_teachers
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.privacy.soft_votes import as_voted
from fedpate.records import NO_ANSWER, PredictionVectors, QueryBatch

log = logging.getLogger("fedpate.hospital")

UNITS = ("patient", "hospital")
_OVER = {"patient": Code.POLICY_EPSILON_PATIENT, "hospital": Code.POLICY_EPSILON_HOSPITAL}


def utc_now() -> dt.datetime:
    """The clock by which days are counted."""
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class GuardedHospital:
    """A hospital behind its policy; answers as `Hospital` does, or refuses."""

    hospital: Hospital
    policy: Policy
    ledger: Path
    owner: str  # of the ledger
    n_patients: int
    n_classes: int
    columns: tuple[str, ...] | None
    near: NearDuplicates | None  # None: the policy sets no limit
    approved: Callable[[], Collection[str]]  # runs that a person allowed

    def train(self, settings: TrainSettings, preprocessing: Preprocessing) -> int:
        """Train if the whole run, as stated, would be within the rules.

        Raises:
          Refusal: it would not.
        """
        stated = self._stated(settings)
        with PrivacyLedger.open(self.ledger, self.owner) as ledger:
            left = self._left(ledger.book(), settings, stated)
            near = self.near.count() if self.near else 0
            teachers = self.hospital.named_beforehand(settings, preprocessing)
            self._require(ledger, settings, stated, left, left, near, teachers)
        return self.hospital.train(settings, preprocessing)

    def answer(
        self, batch: QueryBatch, settings: TrainSettings, training: str
    ) -> PredictionVectors:
        """Charge what is new in a batch, then answer all of it.

        Raises:
          Refusal: a rule is broken, or the teachers were never trained.
        """
        stated = self._stated(settings)
        teachers, k = self.hospital.teachers(settings, training)
        keys = _paid_for(teachers, stated, batch)
        with PrivacyLedger.open(self.ledger, self.owner) as ledger:
            paid = ledger.cached(keys)
            new = {key: row for row, key in enumerate(keys) if key not in paid}
            if new:
                rows = sorted(new.values())
                self._pay(
                    ledger,
                    settings,
                    stated,
                    teachers,
                    k,
                    [keys[row] for row in rows],
                    batch.take(np.array(rows)),
                )
        return self.hospital.answer(batch, settings, training)

    def _pay(
        self,
        ledger: PrivacyLedger,
        settings: TrainSettings,
        stated: Stated,
        teachers: str,
        k: int,
        keys: list[str],
        new: QueryBatch,
    ) -> None:
        """Charge new queries and mark them as paid for; both are on the disk afterwards."""
        name = sha256("\n".join(keys).encode()).hexdigest()
        events = events_of(stated, settings, len(keys), k, teachers)
        asked = self.near.look(new) if self.near else []
        receipt = ledger.resume(name, len(keys), events)  # of a process that was killed here
        if receipt is None:
            left = self._left(ledger.book(), settings, stated)
            near = sum(one.near for one in asked) + (self.near.count() if self.near else 0)
            self._require(ledger, settings, stated, len(keys), left, near, teachers)
            limits = self.policy.epsilon
            try:
                receipt = ledger.charge(
                    purpose=f"{_purpose(settings)}: {len(keys)} queries by {stated.mechanism.name}",
                    query_hash=name,
                    n_queries=len(keys),
                    events=events,
                    delta=limits.delta,
                    budgets={"patient": limits.patient, "hospital": limits.hospital},
                )
            except BudgetExceeded as error:  # another process was faster
                raise Refusal(_OVER[error.unit]) from error
        if self.near:
            self.near.remember(asked)
        ledger.release(receipt, keys, np.full(len(keys), NO_ANSWER, dtype=np.int64))

    def _stated(self, settings: TrainSettings) -> Stated:
        """What the coordinator stated, if it fits what it asks and what this hospital has."""
        stated = settings.stated
        if stated is None or settings.simulation is not None:
            raise Refusal(Code.SETTINGS)
        added_here = stated.mechanism if stated.trust == "local" else None
        if settings.mechanism != added_here or settings.n_classes != self.n_classes:
            raise Refusal(Code.SETTINGS)
        if None not in (stated.features, self.columns) and stated.features != self.columns:
            raise Refusal(Code.SETTINGS)
        return stated

    def _left(self, book: Book, settings: TrainSettings, stated: Stated) -> int:
        """How many more queries the run may ask by what it stated."""
        mark = f"{_purpose(settings)}:"
        asked = sum(
            charge.n_queries
            for id_, (_, charge) in book.charges.items()
            if charge.purpose.startswith(mark) and id_ not in book.voids
        )
        return max(0, stated.queries - asked)

    def _require(
        self,
        ledger: PrivacyLedger,
        settings: TrainSettings,
        stated: Stated,
        new: int,
        left: int,
        near: int,
        teachers: str,
    ) -> None:
        """Hold `new` queries against every rule; raises Refusal."""
        k, n_classes = settings.teachers_per_hospital, settings.n_classes
        one = events_of(stated, settings, 1, k, teachers)
        price = events_of(stated, settings, new, k, teachers)
        delta, today = self.policy.epsilon.delta, policy.today(utc_now())
        answered = [
            (entry.time, charge.n_queries)
            for id_, (entry, charge) in ledger.book().charges.items()
            if id_ not in ledger.book().voids
        ]
        request = Request(
            run=run_id(settings.to_json()),
            submitter=stated.submitter,
            classes=n_classes,
            features=stated.features,
            new_queries=new,
            left=left,
            teachers=k,
            teacher_kind=settings.teacher.name,
            trust=stated.trust,
            votes=settings.votes,
        )
        spent = {unit: guarantee(ledger.spent(unit) + price[unit], delta).epsilon for unit in UNITS}
        standing = Standing(
            answered_today=sum(n for time, n in answered if time.startswith(today)),
            answered=sum(n for _, n in answered),
            **spent,
            query=guarantee(one["patient"], delta).epsilon,
            near_duplicates=near,
            fewest_patients=self.n_patients // k,
            approved=self.approved() if self.policy.approval == "manual" else (),
        )
        policy.require(self.policy, request, standing)


def events_of(
    stated: Stated, settings: TrainSettings, n_queries: int, k: int, teachers: str
) -> dict[str, Event]:
    """Unit -> price by the stated mechanism: a patient moves one vote, the hospital all k.

    Private teachers have a price of their own, once for each training; `teachers` names them.

    Raises:
      Refusal: the mechanism has no price.
    """
    if not n_queries:
        return dict.fromkeys(UNITS, Event())
    moved: dict[str, int] = {"patient": 1, "hospital": k}
    try:
        mechanism = as_voted(stated.mechanism, settings.votes)
        found = {
            unit: mechanism.event(n_queries, moved[unit], settings.n_classes) for unit in UNITS
        }
    except ConfigError as error:  # no noise was stated
        raise Refusal(Code.SETTINGS) from error
    teacher = settings.teacher
    if is_private(teacher):
        own = from_private_teachers(
            found["patient"], teachers, teacher.target_epsilon, teacher.delta
        )
        found["patient"] = own
    return found


def _purpose(settings: TrainSettings) -> str:
    return f"run {run_id(settings.to_json())}"


def _paid_for(teachers: str, stated: Stated, batch: QueryBatch) -> list[str]:
    """What is paid for, one key per query: these teachers' answer to it, under this mechanism."""
    scope = f"{teachers}\n{stated.trust}\n{plain.dumps(stated.mechanism)}\n"
    return [sha256(f"{scope}{row}".encode()).hexdigest() for row in batch.row_hashes()]
