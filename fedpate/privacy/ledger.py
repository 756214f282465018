"""The privacy ledger: every label that anyone has ever seen was paid for first, durably.

The order of a release, and why no crash can break it:
  1. `charge` checks the budgets and writes the intent in one transaction that is on the disk
     before it returns. Several processes at once cannot overspend: the transaction is exclusive.
  2. Only then noise is drawn.
  3. `release` marks the charge released and stores the labels, in one transaction. The labels it
     returns may be shown; labels that were never committed were never seen.
A crash between 1 and 3 leaves an *open* charge. It counts as spent for ever, unless the same
queries are asked again (`resume`: nothing left, so the charge still stands for one release) or a
person voids it with a reason.

Repeats are free and safe: a query whose key (content hash) was released before is answered from
the label cache, with the same answer (`cached`); asking often averages nothing away.

The file belongs to a federation, not to a run; entries hold events, not epsilons, so any accountant
can replay them. It is as trustworthy as `chain_file` says: note the head hash elsewhere to notice
that the whole file was replaced.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import numpy as np

from fedpate.errors import BudgetExceeded, LedgerError
from fedpate.privacy import label_cache
from fedpate.privacy.book import CHARGE, RELEASE, VOID, Book, Charge, Receipt
from fedpate.privacy.chain import Entry, Head, Verification
from fedpate.privacy.chain_file import ChainFile
from fedpate.privacy.events import Event
from fedpate.privacy.ledger_check import FORMAT, verify_file
from fedpate.records import Ints

Price = Callable[[Event, float], float]  # (event, delta) -> guaranteed epsilon
Budgets = Mapping[str, float | None]  # unit -> epsilon, None for no limit


def guaranteed_price(event: Event, delta: float) -> float:
    """The default price: the smallest valid data-independent epsilon."""
    # dp_accounting takes longer to import than a ledger to open; replays need not wait for it.
    from fedpate.privacy.accounting import guarantee

    return guarantee(event, delta).epsilon


class PrivacyLedger:
    """One federation's account; a context manager. Not to be shared between threads."""

    def __init__(self, file: ChainFile, price: Price) -> None:
        self._file, self.price = file, price
        self._book, self._seen = Book(), Head()

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], federation: str, price: Price = guaranteed_price
    ) -> Self:
        """Open or create (mode 0600) the ledger of `federation`, and verify it.

        Raises:
          LedgerError: not a ledger, another version, another federation's, broken or unreadable.
        """
        return cls._verified(ChainFile.open(path, FORMAT, federation), price)

    @classmethod
    def read(cls, path: str | os.PathLike[str], price: Price = guaranteed_price) -> Self:
        """Open an existing ledger for reading only, whichever federation's, and verify it.

        Raises:
          LedgerError: not a ledger, another version, broken or unreadable.
        """
        return cls._verified(ChainFile.read(path, FORMAT), price)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def copy(self, path: str | os.PathLike[str]) -> None:
        """A copy of the ledger as it is now, in one file (mode 0600) that is not there yet."""
        self._file.copy(Path(path))

    @property
    def federation(self) -> str:
        """The owner of this ledger."""
        return str(self._file.entries()[0].fields["owner"])

    @property
    def head(self) -> str:
        """The hash of the last entry: print it where an intruder cannot reach."""
        return self._file.head().hash

    def entries(self) -> list[Entry]:
        """All entries, checked."""
        return self._file.entries()

    def book(self) -> Book:
        """All charges and what became of them, up to date. Not to be changed."""
        for entry in self._file.entries(self._seen):
            self._book.add(entry)
            self._seen = Head(entry.seq, entry.hash)
        return self._book

    def spent(self, unit: str) -> Event:
        """Everything charged to a unit and not voided."""
        return self.book().spent(unit)

    def epsilon(self, unit: str, delta: float) -> float:
        """The guaranteed epsilon spent by a unit so far."""
        return self.price(self.spent(unit), delta)

    def require_affordable(
        self, events: Mapping[str, Event], delta: float, budgets: Budgets
    ) -> None:
        """Raise BudgetExceeded if charging `events` would pass a budget."""
        book = self.book()
        for unit, budget in budgets.items():
            if budget is None:
                continue
            would_be = self.price(book.spent(unit) + events[unit], delta)
            if not would_be <= budget:  # also refuses NaN
                raise BudgetExceeded(unit, would_be, budget, delta)

    def can_afford(self, events: Mapping[str, Event], delta: float, budgets: Budgets) -> bool:
        """Whether charging `events` would keep every budget, right now."""
        try:
            self.require_affordable(events, delta, budgets)
        except BudgetExceeded:
            return False
        return True

    def charge(
        self,
        purpose: str,
        query_hash: str,
        n_queries: int,
        events: Mapping[str, Event],
        delta: float,
        budgets: Budgets,
    ) -> Receipt:
        """Check the budgets and write the intent, in one transaction; durable on return.

        Args:
          purpose: what for, in words that may be shown (a run's name).
          query_hash: content hash of the query batch.
          n_queries: how many labels may be released on the receipt, at most.
          events: unit ("patient", "hospital") -> its price.
          delta: at which the budgets are checked.
          budgets: unit -> largest epsilon over the ledger's lifetime, None for no limit.

        Raises:
          BudgetExceeded: a budget would be passed; the ledger is unchanged.
          LedgerError: the ledger cannot be trusted or written; nothing may be released.
        """
        charge = Charge(purpose, query_hash, n_queries, events, delta, budgets)
        with self._writing():
            self.require_affordable(events, delta, budgets)
            entry = self._file.append(CHARGE, charge.fields())
        return Receipt(entry.seq, entry.hash, n_queries)

    def resume(
        self, query_hash: str, n_queries: int, events: Mapping[str, Event]
    ) -> Receipt | None:
        """The receipt of an open charge for exactly this, left by a run that was interrupted.

        Only where nothing leaves before `release`: where hospitals send randomized votes
        (trust=local), a second answer is a second loss unless it is the same answer.
        """
        book = self.book()
        for id_, (_, charge) in book.charges.items():
            same = (charge.query_hash, charge.n_queries) == (query_hash, n_queries)
            if same and charge.events == events and book.state(id_) == "open":
                return book.receipt(id_)
        return None

    def release(self, receipt: Receipt, keys: Sequence[str], labels: Ints) -> Ints:
        """Make labels public: mark the charge released and cache them, in one transaction.

        The first answer to a query stays: show what this returns, never what was given. A receipt
        that was released already (by a process that resumed the same charge) gives those labels.

        Args:
          receipt: from `charge` or `resume`.
          keys: content hash of each query.
          labels: (len(keys),) the mechanism's answers, `NO_ANSWER` included.

        Returns:
          (len(keys),) the public labels.

        Raises:
          LedgerError: unknown or voided receipt, or more labels than were paid for.
        """
        if not len(keys) == len(labels) <= receipt.n_queries:
            raise LedgerError(
                f"charge {receipt.id} pays for {receipt.n_queries} labels, "
                f"got {len(labels)} for {len(keys)} keys"
            )
        with self._writing():
            book = self.book()
            if receipt.id not in book.charges or book.receipt(receipt.id) != receipt:
                raise LedgerError(f"receipt {receipt.id} is not from this ledger")
            if book.state(receipt.id) != "released":
                book.require_open(receipt.id)
                self._publish(receipt.id, keys, labels.tolist())
            public = label_cache.lookup(self._file.db, keys)
        if missing := public.count(None):
            raise LedgerError(f"charge {receipt.id} was released for other queries: {missing} new")
        return np.array(public, dtype=np.int64)

    def cached(self, keys: Sequence[str]) -> dict[str, int]:
        """The public labels of those queries that have one: repeats cost nothing."""
        with self._file.reading():
            labels = label_cache.lookup(self._file.db, keys)
        pairs = zip(keys, labels, strict=True)
        return {key: label for key, label in pairs if label is not None}

    def void(self, receipt_id: int, reason: str, who: str) -> None:
        """Take back an open charge, on a person's word that nothing of it ever left.

        Raises:
          LedgerError: it was released or voided before, or there is no reason or name.
        """
        if not (reason.strip() and who.strip()):
            raise LedgerError("a charge is voided by a person with a reason: give both")
        with self._writing():
            self.book().require_open(receipt_id)
            self._file.append(VOID, {"receipt": receipt_id, "reason": reason, "who": who})

    def verify(self, expected_head: str | None = None) -> Verification:
        """Check chain, tables, the meaning of every entry, and the labels; see `ledger_check`."""
        return verify_file(self._file, expected_head)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._file.writing():
            yield
        self.book()  # remember what was written: if it goes away, the file is not trusted any more

    def _publish(self, receipt_id: int, keys: Sequence[str], labels: Sequence[int]) -> None:
        db = self._file.db
        new: dict[str, int] = {}
        for key, label in zip(keys, labels, strict=True):
            new.setdefault(key, label)  # a record asked twice in a batch has one answer too
        unique = list(new)
        for key, known in zip(unique, label_cache.lookup(db, unique), strict=True):
            if known is not None:
                del new[key]
        label_cache.insert(db, receipt_id, new)
        digest = label_cache.digest(new.items())
        fields = {"receipt": receipt_id, "labels": len(new), "digest": digest}
        self._file.append(RELEASE, fields)

    @classmethod
    def _verified(cls, file: ChainFile, price: Price) -> Self:
        verification = verify_file(file)
        if not verification.ok:
            file.close()
            raise LedgerError(
                f"{file.path}: {verification.problems[0]}; this privacy ledger cannot be trusted"
            )
        return cls(file, price)
