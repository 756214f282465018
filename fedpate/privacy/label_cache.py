"""The public labels inside a ledger's file: one per query, for ever, bound to the chain.

Each release entry holds a digest of the rows that it made public, so a changed label is found.
"""

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter

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
_ROWS_AT_ONCE = 10_000  # as JSON: bounds memory, however many labels a ledger has


def digest(rows: Iterable[tuple[str, int]]) -> str:
    """SHA-256 over (key, label) rows, in whatever order they come."""
    return _digest_sorted(iter(sorted(rows)))


def insert(db: sqlite3.Connection, receipt_id: int, rows: Mapping[str, int]) -> None:
    """Store labels of queries that have none yet."""
    values = ((key, label, receipt_id) for key, label in rows.items())
    db.executemany("INSERT INTO labels (key, label, receipt) VALUES (?, ?, ?)", values)


def lookup(db: sqlite3.Connection, keys: Sequence[str]) -> list[int | None]:
    """The label of each query; None for those that have none."""
    labels: list[int | None] = []
    for start in range(0, len(keys), _KEYS_PER_QUERY):
        part = keys[start : start + _KEYS_PER_QUERY]
        marks = ",".join("?" * len(part))
        query = f"SELECT key, label FROM labels WHERE key IN ({marks})"  # noqa: S608 - ?, ?, ...
        found = dict(db.execute(query, part))
        labels += [found.get(key) for key in part]
    return labels


def problems(db: sqlite3.Connection, releases: Mapping[int, Entry]) -> Iterator[str]:
    """Say where the labels stored are not those that the release entries made public."""
    strange = "typeof(key) != 'text' OR typeof(label) != 'integer'"
    query = f"SELECT receipt FROM labels WHERE {strange} LIMIT 1"  # noqa: S608 - our own words
    for (receipt_id,) in db.execute(query):
        yield f"a label of charge {receipt_id!r} is of the wrong type"
        return
    # SQLite orders text by its bytes, which is Python's order too.
    stored = db.execute("SELECT receipt, key, label FROM labels ORDER BY receipt, key")
    found = {
        receipt_id: _digest_sorted((key, label) for _, key, label in rows)
        for receipt_id, rows in groupby(stored, key=itemgetter(0))
    }
    for receipt_id in found.keys() - releases.keys():
        yield f"labels are stored for charge {receipt_id!r}, which was not released"
    for receipt_id, entry in releases.items():
        if found.get(receipt_id, digest([])) != entry.fields.get("digest"):
            yield f"the labels of charge {receipt_id} are not those that were released"


def _digest_sorted(rows: Iterator[tuple[str, int]]) -> str:
    """The hash of `json.dumps` of the list of all rows, piece by piece."""
    hashed, comma = hashlib.sha256(b"["), ""
    while part := list(islice(rows, _ROWS_AT_ONCE)):
        hashed.update((comma + json.dumps(part)[1:-1]).encode())
        comma = ", "
    hashed.update(b"]")
    return hashed.hexdigest()
