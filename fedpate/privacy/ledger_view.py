"""A ledger as a bank statement, in plain data: for a table, for JSON, for a person."""

from collections import defaultdict
from typing import Any

from fedpate.privacy.book import CHARGE, VOID, Book, Charge
from fedpate.privacy.chain import Entry
from fedpate.privacy.events import Event
from fedpate.privacy.ledger import PrivacyLedger


def statement(ledger: PrivacyLedger, delta: float) -> list[dict[str, Any]]:
    """One row per charge and per void, oldest first, with the balance after it.

    A charge that was voided later still counts in the rows before its void, as it did then.

    Returns:
      Rows with the keys `entry` and `time` (of the entry), `kind` ("charge" or "void"), `receipt`,
      `purpose`, `queries`, `state` ("open", "released" or "voided", as of now), `released` (time,
      or None), `reason` and `who` (of a void, else None), and `units`: for each unit its `pieces`
      (list of {"kind", "count", and the piece's own fields}), `epsilon` (guaranteed, at `delta`,
      after this entry), `budget` (as of that charge, or None) and `left` (or None).
    """
    book, so_far = ledger.book(), Book()
    spent: defaultdict[str, Event] = defaultdict(Event)
    rows = []
    for entry in ledger.entries():
        so_far.add(entry)
        if entry.kind not in (CHARGE, VOID):
            continue
        receipt_id = entry.seq if entry.kind == CHARGE else entry.fields["receipt"]
        charge = book.charges[receipt_id][1]
        for unit, event in charge.events.items():
            spent[unit] = so_far.spent(unit) if entry.kind == VOID else spent[unit] + event
        row = _row(entry, receipt_id, book)
        row["units"] = {
            unit: _balance(ledger, charge, unit, spent[unit], delta) for unit in charge.events
        }
        rows.append(row)
    return rows


def _row(entry: Entry, receipt_id: int, book: Book) -> dict[str, Any]:
    charge = book.charges[receipt_id][1]
    release = book.releases.get(receipt_id)
    is_void = entry.kind == VOID
    return {
        "entry": entry.seq,
        "time": entry.time,
        "kind": entry.kind,
        "receipt": receipt_id,
        "purpose": charge.purpose,
        "queries": charge.n_queries,
        "state": book.state(receipt_id),
        "released": release.time if release else None,
        "reason": entry.fields["reason"] if is_void else None,
        "who": entry.fields["who"] if is_void else None,
    }


def _balance(
    ledger: PrivacyLedger, charge: Charge, unit: str, spent: Event, delta: float
) -> dict[str, Any]:
    epsilon, budget = ledger.price(spent, delta), charge.budgets.get(unit)
    return {
        "pieces": charge.fields()["events"][unit]["pieces"],
        "epsilon": epsilon,
        "budget": budget,
        "left": None if budget is None else budget - epsilon,
    }
