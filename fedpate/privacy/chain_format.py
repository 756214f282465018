"""The tables, triggers and file ids of a chained file (`chain_file`)."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fedpate.errors import LedgerError
from fedpate.privacy.chain import Head

_SCHEMA = (
    """CREATE TABLE entries (
    seq INTEGER PRIMARY KEY, time TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
    previous TEXT NOT NULL, hash TEXT NOT NULL)""",
    """CREATE TABLE head (
    one INTEGER PRIMARY KEY CHECK (one = 1), count INTEGER NOT NULL, hash TEXT NOT NULL)""",
    # INSERT OR REPLACE would remove a row without firing a DELETE trigger: only n + 1 may come.
    """CREATE TRIGGER entries_insert BEFORE INSERT ON entries
    WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM entries)
    BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END""",
    """CREATE TRIGGER entries_update BEFORE UPDATE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END""",
    """CREATE TRIGGER entries_delete BEFORE DELETE ON entries
    BEGIN SELECT RAISE(ABORT, 'entries are append-only'); END""",
    """CREATE TRIGGER head_update BEFORE UPDATE ON head WHEN NEW.count IS NOT OLD.count + 1
    BEGIN SELECT RAISE(ABORT, 'the head only grows'); END""",
    """CREATE TRIGGER head_delete BEFORE DELETE ON head
    BEGIN SELECT RAISE(ABORT, 'the head only grows'); END""",
)


@dataclass(frozen=True)
class ChainFormat:
    """What kind of file it is: its title in messages, SQLite's file ids, tables beside the chain.

    `version` goes up with any change of a table or of the meaning of a field.
    """

    title: str
    application_id: int
    version: int
    tables: tuple[str, ...] = ()

    def create(self, db: sqlite3.Connection) -> None:
        """Make the tables of an empty chain; call inside a transaction."""
        for statement in (*_SCHEMA, *self.tables):
            db.execute(statement)
        db.execute("INSERT INTO head VALUES (1, ?, ?)", (Head().count, Head().hash))
        db.execute(f"PRAGMA application_id = {self.application_id}")
        db.execute(f"PRAGMA user_version = {self.version}")

    def is_new(self, db: sqlite3.Connection, path: Path) -> bool:
        """Whether nothing was written to the file yet; call inside a transaction.

        Raises:
          LedgerError: it is something else than this version of this format.
        """
        (application_id,) = db.execute("PRAGMA application_id").fetchone()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        (objects,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if objects == application_id == version == 0:
            return True
        if application_id != self.application_id:
            raise LedgerError(f"{path} is not a {self.title}")
        if version != self.version:
            raise LedgerError(
                f"{path} is a {self.title} of version {version}; "
                f"this fedpate knows version {self.version}"
            )
        return False

    def damage(self, db: sqlite3.Connection) -> Iterator[str]:
        """Say what is wrong with the file below the chain: its pages, tables and triggers."""
        (found,) = db.execute("PRAGMA integrity_check(1)").fetchone()
        if found != "ok":
            yield f"SQLite finds damage: {found}"
        made = {sql for (sql,) in db.execute("SELECT sql FROM sqlite_master") if sql}
        if made != {*_SCHEMA, *self.tables}:
            yield "a table or trigger was changed, dropped or added"
