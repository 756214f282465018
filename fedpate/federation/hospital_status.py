"""What a hospital was asked, answered, refused and spent: read off its own ledger and log."""

import datetime as dt
import json
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from fedpate.errors import ConfigError
from fedpate.federation import plain, policy
from fedpate.federation.following import is_held
from fedpate.federation.guard import events_of
from fedpate.federation.hospital_log import DECISION, HospitalLog
from fedpate.federation.kit import LOCK, STATE, HospitalKit
from fedpate.federation.near_duplicates import NearDuplicates
from fedpate.federation.own_site import ASKED, LEDGER, log_of
from fedpate.federation.policy import Policy
from fedpate.federation.refusals import Refusal
from fedpate.federation.settings import TrainSettings
from fedpate.privacy.accounting import guarantee
from fedpate.privacy.ledger import PrivacyLedger


@dataclass(frozen=True)
class Status:
    """One hospital, now."""

    hospital: str
    federation: str
    running: bool
    decisions: dict[str, int]  # "answered", or the reason of a refusal -> how often
    runs: list[dict[str, Any]]
    queries: dict[str, int]  # answered today and in total, near duplicates
    epsilon: dict[str, float]  # spent, by unit
    limits: dict[str, Any]  # of the policy
    ledger_head: str | None
    log_head: str | None

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def status(kit: HospitalKit, now: dt.datetime) -> Status:
    """The status of a hospital, whether it runs or not.

    Raises:
      ConfigError: the policy cannot be read.
      LedgerError: the ledger or the log was changed.
    """
    rules, log, state = Policy.read(kit.policy), log_of(kit), kit.folder / STATE
    entries = log.entries()
    decided = [entry.fields for entry in entries if entry.kind == DECISION]
    spent, queries, head = dict.fromkeys(("patient", "hospital"), 0.0), Counter[str](), None
    if (state / LEDGER).exists():
        with PrivacyLedger.read(state / LEDGER) as ledger:
            book, head = ledger.book(), ledger.head
            for unit in spent:
                spent[unit] = guarantee(ledger.spent(unit), rules.epsilon.delta).epsilon
            for id_, (entry, charge) in book.charges.items():
                if id_ not in book.voids:
                    queries["total"] += charge.n_queries
                    if entry.time.startswith(policy.today(now)):
                        queries["today"] += charge.n_queries
    if (state / ASKED).exists():
        queries["near_duplicates"] = NearDuplicates(state / ASKED).count()
    return Status(
        hospital=kit.hospital,
        federation=kit.federation,
        running=is_held(state / LOCK),
        decisions=dict(Counter(fields["why"] for fields in decided)),
        runs=[_told(log, run, settings, rules) for run, settings in log.runs().items()],
        queries={name: queries[name] for name in ("today", "total", "near_duplicates")},
        epsilon=spent,
        limits=rules.limits(),
        ledger_head=head,
        log_head=entries[-1].hash if entries else None,
    )


def approve(kit: HospitalKit, run: str, who: str) -> None:
    """A person allows a run that has asked; raises ConfigError if none of that name has."""
    log_of(kit).approve(run, who)


def asked(kit: HospitalKit, run: str) -> dict[str, Any]:
    """What a run that has asked states, for the person who is to approve it.

    Raises:
      ConfigError: no such run has asked.
    """
    log = log_of(kit)
    runs = log.runs()
    if run not in runs:
        known = ", ".join(runs) or "none has asked yet"
        raise ConfigError(f"RUN must be one that has asked, got {run!r}; there are: {known}")
    return _told(log, run, runs[run], Policy.read(kit.policy))


def _told(log: HospitalLog, run: str, settings: TrainSettings, rules: Policy) -> dict[str, Any]:
    """What a run stated, and what that would cost at the policy's delta."""
    stated = settings.stated
    told: dict[str, Any] = {"run": run, "approved": run in log.approved()}
    if stated is None:
        return told
    teachers, n_classes = settings.teachers_per_hospital, settings.n_classes
    price: dict[str, float] | None = None
    with suppress(ConfigError, Refusal):  # a mechanism without its noise has no price: refused
        events = events_of(stated, settings, stated.queries, teachers, "asked")
        price = {
            unit: guarantee(event, rules.epsilon.delta).epsilon for unit, event in events.items()
        }
    return told | {
        "submitter": stated.submitter,
        "queries": stated.queries,
        "classes": n_classes,
        "teachers": teachers,
        "teacher": settings.teacher.name,
        "trust": stated.trust,
        "mechanism": json.loads(plain.dumps(stated.mechanism)),
        "epsilon": price,
        "delta": rules.epsilon.delta,
    }
