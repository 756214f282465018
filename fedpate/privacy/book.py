"""What a privacy ledger's entries mean, as pure data: charges, and what became of them.

Kinds of entry, and the fields of their bodies (ledgers on disk hold them: none may change meaning):
  charge   purpose, query_hash, queries, delta, budgets {unit: epsilon | null},
           events {unit: Event JSON}: the intent, made durable before any noise is drawn
  release  receipt (seq of the charge), labels (rows that became public), digest (of those rows)
  void     receipt, reason, who: a person says that nothing of this charge ever left
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from fedpate import _check
from fedpate.errors import LedgerError
from fedpate.privacy.chain import Entry
from fedpate.privacy.chain_file import OPENED
from fedpate.privacy.events import Event, compose

CHARGE, RELEASE, VOID = "charge", "release", "void"

State = Literal["open", "released", "voided"]


@dataclass(frozen=True)
class Receipt:
    """Proof of a charge; with it labels may be released, once."""

    id: int  # seq of the charge's entry
    entry_hash: str
    n_queries: int


@dataclass(frozen=True)
class Charge:
    """What is paid for: `n_queries` under one price per privacy unit."""

    purpose: str
    query_hash: str
    n_queries: int
    events: Mapping[str, Event]  # unit -> event
    delta: float
    budgets: Mapping[str, float | None]  # unit -> epsilon, None for no limit

    def __post_init__(self) -> None:
        _check.at_least(1, n_queries=self.n_queries)
        _check.open_unit(**{"privacy.delta": self.delta})
        for unit, budget in self.budgets.items():
            if budget is None:
                continue
            _check.non_negative(**{f"privacy.budget.{unit}": budget})
            if unit not in self.events:
                raise LedgerError(f"privacy.budget.{unit} is set, but no price per {unit} is given")

    def fields(self) -> dict[str, Any]:
        """The body of its entry."""
        return {
            "purpose": self.purpose,
            "query_hash": self.query_hash,
            "queries": self.n_queries,
            "delta": self.delta,
            "budgets": dict(self.budgets),
            "events": {unit: json.loads(event.to_json()) for unit, event in self.events.items()},
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> "Charge":
        """Read what `fields` wrote; KeyError, TypeError or FedPateError if it is not that."""
        events = {u: Event.from_json(json.dumps(e)) for u, e in fields["events"].items()}
        return cls(
            fields["purpose"],
            fields["query_hash"],
            fields["queries"],
            events,
            fields["delta"],
            fields["budgets"],
        )


@dataclass
class Book:
    """Entries folded in order. A charge counts as spent from its entry on, unless it is voided."""

    charges: dict[int, tuple[Entry, Charge]] = field(default_factory=dict)
    releases: dict[int, Entry] = field(default_factory=dict)  # by receipt id
    voids: dict[int, Entry] = field(default_factory=dict)  # by receipt id

    def add(self, entry: Entry) -> None:
        """Take in the next entry.

        Raises:
          LedgerError: it makes no sense here, or is of a kind that this version does not know.
        """
        try:
            self._add(entry)
        except (KeyError, TypeError, AttributeError) as error:
            raise LedgerError(f"entry {entry.seq} is not a well-formed {entry.kind}") from error

    def spent(self, unit: str) -> Event:
        """Everything charged to `unit` and not voided."""
        counted = (charge for id_, (_, charge) in self.charges.items() if id_ not in self.voids)
        return compose(charge.events[unit] for charge in counted if unit in charge.events)

    def state(self, receipt_id: int) -> State:
        """What became of a charge."""
        if receipt_id in self.voids:
            return "voided"
        return "released" if receipt_id in self.releases else "open"

    def require_open(self, receipt_id: int) -> None:
        """Raise LedgerError unless this is a charge that was neither released nor voided."""
        if receipt_id not in self.charges:
            raise LedgerError(f"the ledger has no charge {receipt_id}")
        if (state := self.state(receipt_id)) != "open":
            raise LedgerError(f"charge {receipt_id} is {state}, it must be open")

    def receipt(self, receipt_id: int) -> Receipt:
        """The receipt of a charge."""
        entry, charge = self.charges[receipt_id]
        return Receipt(entry.seq, entry.hash, charge.n_queries)

    def _add(self, entry: Entry) -> None:
        match entry.kind:
            case "charge":
                self.charges[entry.seq] = (entry, Charge.from_fields(entry.fields))
            case "release" | "void":
                receipt_id = entry.fields["receipt"]
                self.require_open(receipt_id)
                (self.releases if entry.kind == RELEASE else self.voids)[receipt_id] = entry
            case kind if kind != OPENED or entry.seq != 1:
                raise LedgerError(f"entry {entry.seq} is of the unknown kind {kind!r}")
