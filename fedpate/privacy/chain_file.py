"""An append-only file: a hash chain (`chain`) in SQLite, for a ledger or an audit log.

A head record (number of entries, last hash) makes a cut at the end visible, and triggers refuse
UPDATE and DELETE. What `verify` finds: an edited, deleted, inserted, swapped or cut entry, a
changed head, a changed table or trigger. What no file can show about itself: that somebody with
write access made the whole of it anew, head included, or put an older copy in its place. Only a
head hash noted elsewhere (printed, mailed, kept by another party) shows that:
`verify(expected_head)`.

Durable means: WAL journal with synchronous=FULL, so a commit is on the disk before it returns.
Locks and WAL need a local disk; network file systems (NFS) are not supported.
"""

import json
import os
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from fedpate.errors import LedgerError
from fedpate.privacy.chain import Entry, Head, Verification, end, first_broken_link, link
from fedpate.privacy.chain_format import ChainFormat

BUSY_SECONDS = 60.0  # how long to wait for another process's transaction
CACHE_KB = 65_536  # of a large file, kept in memory while it is open
OPENED = "opened"  # the kind of entry 1, which names the owner


class ChainFile:
    """A chained file, open for appending (`open`) or for reading only (`read`).

    `db` is there for the owner's own tables; they are written inside `writing()` only.
    """

    def __init__(self, path: Path, mode: str, form: ChainFormat) -> None:
        uri = f"{path.absolute().as_uri()}?mode={mode}"
        self.path, self.form = path, form
        self.db = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        self.db.execute(f"PRAGMA cache_size = -{CACHE_KB}")

    @classmethod
    def open(cls, path: str | os.PathLike[str], form: ChainFormat, owner: str) -> Self:
        """Open or create (mode 0600) the file of `owner`.

        Raises:
          LedgerError: not such a file, another version, another owner, or not readable.
        """
        path = Path(path)
        with _translated(path, form):
            _create_file(path)
            self = cls(path, "rw", form)
            with self._closed_on_error():
                self._open(owner)
        return self

    @classmethod
    def read(cls, path: str | os.PathLike[str], form: ChainFormat) -> Self:
        """Open an existing file for reading, whoever owns it and however broken its chain is.

        Raises:
          LedgerError: not such a file, another version, or not readable.
        """
        path = Path(path)
        with _translated(path, form):
            self = cls(path, _reading_mode(path), form)
            self.db.execute("PRAGMA query_only = ON")
            with self._closed_on_error(), self.reading():
                if form.is_new(self.db, path):
                    raise LedgerError(f"{path} is an empty file, not a {form.title}")
        return self

    def close(self) -> None:
        """Close the file; what was committed stays."""
        self.db.close()

    def copy(self, path: Path) -> None:
        """Everything that is committed, as a file of its own (mode 0600).

        Raises:
          LedgerError: it cannot be written.
        """
        with _translated(path, self.form):
            _create_file(path)
            with closing(sqlite3.connect(path)) as target:
                self.db.backup(target)
                target.execute("PRAGMA journal_mode = DELETE")  # no log beside it

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One transaction that alone may write; on leaving it, everything in it is on the disk.

        An exception inside leaves the file as it was.
        """
        with _translated(self.path, self.form), self._transaction("BEGIN IMMEDIATE"):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One unchanging view over several reads, or the transaction that it is inside of."""
        if self.db.in_transaction:
            yield
            return
        with _translated(self.path, self.form), self._transaction("BEGIN"):
            yield

    def append(self, kind: str, fields: Mapping[str, Any]) -> Entry:
        """Add one entry; inside `writing()` only, and durable when that is left."""
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        entry = link(self.head(), now, kind, json.dumps(fields, sort_keys=True))
        row = (entry.seq, entry.time, entry.kind, entry.body, entry.previous, entry.hash)
        self.db.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", row)
        self.db.execute("UPDATE head SET count = ?, hash = ?", (entry.seq, entry.hash))
        return entry

    def head(self) -> Head:
        """The head record.

        Raises:
          LedgerError: it is missing.
        """
        with self.reading():
            rows = self.db.execute("SELECT count, hash FROM head").fetchall()
        if len(rows) != 1:
            raise LedgerError(f"{self.path}: the head record is missing")
        return Head(*rows[0])

    def entries(self, after: Head | None = None) -> list[Entry]:
        """The entries after `after` (default: all), checked to continue it up to the head record.

        Raises:
          LedgerError: they do not.
        """
        start = after or Head()
        with self.reading():
            entries, head = self._rows(start.count), self.head()
        problem = _chain_problem(entries, start, head)
        if problem is not None:
            raise LedgerError(f"{self.path}: {problem}; this {self.form.title} cannot be trusted")
        return entries

    def verify(self, expected_head: str | None = None) -> Verification:
        """Check the whole file; what it finds it returns, it never raises.

        Args:
          expected_head: a head hash noted earlier; it must be the hash of one of the entries (the
            file may have grown since).
        """
        try:
            with self.reading():
                entries, head = self._rows(0), self.head()
                problems = [*self.form.damage(self.db)]
        except LedgerError as error:
            return Verification(Head(), (str(error),))
        problem = _chain_problem(entries, Head(), head)
        if problem is not None:
            problems.append(problem)
        if expected_head is not None and expected_head not in {entry.hash for entry in entries}:
            problems.append("the expected head hash is not in the chain: cut back or made anew")
        return Verification(head, tuple(problems))

    def _open(self, owner: str) -> None:
        with self.reading():
            self.form.is_new(self.db, self.path)  # refuses before it changes anything
        if self._set_wal() != "wal":
            raise LedgerError(f"{self.path}: a {self.form.title} needs a local disk (SQLite WAL)")
        self.db.execute("PRAGMA synchronous = FULL")
        with self.writing():
            if self.form.is_new(self.db, self.path):
                self.form.create(self.db)
                self.append(OPENED, {"owner": owner, "title": self.form.title})
        with self.reading():
            first = next(iter(self._rows(0, 1)), None)
        if first is None or first.kind != OPENED or first.fields.get("owner") != owner:
            raise LedgerError(f"{self.path} is a {self.form.title} of another owner than {owner!r}")

    def _set_wal(self) -> str:
        """Switch to a write-ahead log; the mode reached. SQLite's own waiting leaves this out."""
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                (mode,) = self.db.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
            else:
                return str(mode)

    def _rows(self, after: int, at_most: int = -1) -> list[Entry]:
        columns = "seq, time, kind, body, previous, hash"
        query = f"SELECT {columns} FROM entries WHERE seq > ? ORDER BY seq LIMIT ?"  # noqa: S608 - constant
        return [Entry(*row) for row in self.db.execute(query, (after, at_most))]

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        self.db.execute(begin)
        try:
            yield
            self.db.execute("COMMIT")
        except BaseException:
            self.db.rollback()
            raise

    @contextmanager
    def _closed_on_error(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise


def _chain_problem(entries: list[Entry], start: Head, head: Head) -> str | None:
    problem = first_broken_link(entries, start)
    if problem is None and head != end(entries, start):
        return f"the head record says {head.count} entries, the chain ends elsewhere"
    return problem


def _reading_mode(path: Path) -> str:
    """How SQLite opens a file that is only to be read.

    With write access, so that the last one to close clears away the write-ahead log and its index;
    `query_only` forbids everything else. Where the folder cannot be written SQLite cannot make that
    index. Nobody else can be writing there either; but a log left behind holds the last entries.
    """
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return "rw"
    journal = path.with_name(path.name + "-wal")
    sealed = not os.access(path.parent, os.W_OK) and not journal.exists()
    return "ro&immutable=1" if sealed else "ro"


def _create_file(path: Path) -> None:
    if path.exists():
        return
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite's side files copy the mode
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name too must survive a power cut
    finally:
        os.close(folder)


@contextmanager
def _translated(path: Path, form: ChainFormat) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeError) as error:  # a damaged name is not UTF-8
        raise LedgerError(f"{path}: the {form.title} cannot be used: {error}") from error
