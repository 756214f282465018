"""The public labels inside a ledger's file: one per query, for ever, bound to the chain.

Each release entry holds a digest of the rows that it made public, so a changed label is found.
"""

import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from fedpate.privacy.chain import Entry

TABLES = (
    """CREATE TABLE labels (
    key TEXT PRIMARY KEY NOT NULL, label INTEGER NOT NULL, receipt INTEGER NOT NULL)""",
    """CREATE TRIGGER labels_insert BEFORE INSERT ON labels
    WHEN EXISTS (SELECT 1 FROM labels WHERE key = NEW.key)
    BEGIN SELECT RAISE(ABORT, 'a released label stays'); END""",
    """CREATE TRIGGER labels_update BEFORE UPDATE ON labels
    BEGIN SELECT RAISE(ABORT, 'a released label stays'); END""",
    """CREATE TRIGGER labels_delete BEFORE DELETE ON labels
    BEGIN SELECT RAISE(ABORT, 'a released label stays'); END""",
)
_KEYS_PER_QUERY = 500  # below every SQLite's limit on parameters


def digest(rows: Iterable[tuple[str, int]]) -> str:
    """SHA-256 over (key, label) rows, in whatever order they come."""
    return hashlib.sha256(json.dumps(sorted(rows)).encode()).hexdigest()


def insert(db: sqlite3.Connection, receipt_id: int, rows: Mapping[str, int]) -> None:
    """Store labels of queries that have none yet."""
    values = [(key, label, receipt_id) for key, label in rows.items()]
    db.executemany("INSERT INTO labels (key, label, receipt) VALUES (?, ?, ?)", values)


def lookup(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, int]:
    """The labels of those queries that have one."""
    found: dict[str, int] = {}
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        part = keys[start : start + _KEYS_PER_QUERY]
        marks = ",".join("?" * len(part))
        query = f"SELECT key, label FROM labels WHERE key IN ({marks})"  # noqa: S608 - ?, ?, ...
        found.update(db.execute(query, part))
    return found


def problems(db: sqlite3.Connection, releases: Mapping[int, Entry]) -> Iterator[str]:
    """Say where the labels stored are not those that the release entries made public."""
    stored: defaultdict[int, list[tuple[str, int]]] = defaultdict(list)
    for key, label, receipt_id in db.execute("SELECT key, label, receipt FROM labels"):
        if not (isinstance(key, str) and isinstance(label, int)):
            yield f"a label of charge {receipt_id!r} is of the wrong type"
            return
        stored[receipt_id].append((key, label))
    for receipt_id in stored.keys() - releases.keys():
        yield f"labels are stored for charge {receipt_id!r}, which was not released"
    for receipt_id, entry in releases.items():
        if digest(stored[receipt_id]) != entry.fields.get("digest"):
            yield f"the labels of charge {receipt_id} are not those that were released"
