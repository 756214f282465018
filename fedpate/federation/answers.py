"""A hospital's memory of what it answered, on its own disk: the same query, the same answer.

For randomized answers (trust=local) this is what keeps repeats from being averaged, so an answer is
on the disk before it leaves (`durable`). For plain counts it saves the voting. One row per (scope,
query): the scope is a hash of everything the answer depends on beside the query, the query its
content hash.
"""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from fedpate.records import Ints

_SCHEMA = """CREATE TABLE IF NOT EXISTS answers (
    scope TEXT NOT NULL, query TEXT NOT NULL, votes BLOB NOT NULL,
    PRIMARY KEY (scope, query)) WITHOUT ROWID"""
_LARGEST = 256 * 2**20  # bytes of a file that is not durable; then it starts afresh
_LOCK_S = 60.0  # how long one process waits for another's transaction
_CACHE_KB = 32 * 1024  # of the file, kept in memory while it is open
_TYPES = tuple(np.dtype(f"<i{width}") for width in (1, 2, 4, 8))


class AnswerCache:
    """One SQLite file, readable by its owner only; safe for several processes.

    Args:
      path: the file, made when needed.
      durable: whether answers must survive a power failure; they always survive a kill.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        self._path, self._durable = path, durable

    def recall(
        self,
        scope: str,
        queries: Sequence[str],
        n_classes: int,
        answer: Callable[[Ints], Ints],
    ) -> Ints:
        """Answers to `queries`: the remembered ones, and `answer` for those asked the first time.

        Args:
          scope: what else the answers depend on.
          queries: content hash of each query; equal ones get one answer.
          n_classes: number of columns.
          answer: rows of the queries to answer (m,) -> (m, n_classes); called at most once.

        Returns:
          (n_queries, n_classes) int64, in the file.
        """
        first = {query: row for row, query in reversed(list(enumerate(queries)))}
        with closing(self._open()) as db:
            if not self._durable and _bytes(db) > _LARGEST:
                db.execute("DELETE FROM answers")
                db.commit()
            known = _lookup(db, scope, first)
            new = sorted(row for query, row in first.items() if query not in known)
            if new:
                blobs = _blobs(answer(np.array(new, dtype=np.int64)))
                rows = [(scope, queries[row], blob) for row, blob in zip(new, blobs, strict=True)]
                with db:  # the first answer stays, also when two processes answer at once
                    db.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", rows)
                own = {query: votes for _, query, votes in rows}
                known = own | known | _lookup(db, scope, first)
        return _table([known[query] for query in queries], n_classes)

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.touch(mode=0o600)
        db = sqlite3.connect(self._path, timeout=_LOCK_S)
        db.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'OFF'}")
        if self._durable:
            db.execute("PRAGMA journal_mode = WAL")
        db.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        db.execute(_SCHEMA)
        return db


def _bytes(db: sqlite3.Connection) -> int:
    """What is in the file; room left by what was deleted does not count."""
    pages, free, size = (
        int(db.execute(f"PRAGMA {what}").fetchone()[0])
        for what in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


def _blobs(votes: Ints) -> list[bytes]:
    """Each row in the smallest of `_TYPES` that holds all of them."""
    low, high = int(votes.min()), int(votes.max())
    fitting = (t for t in _TYPES if np.iinfo(t).min <= low and high <= np.iinfo(t).max)
    return [row.tobytes() for row in votes.astype(next(fitting))]


def _table(blobs: Sequence[bytes], n_classes: int) -> Ints:
    """Rows that `_blobs` wrote, in whichever types: (len(blobs), n_classes)."""
    table = np.empty((len(blobs), n_classes), np.int64)
    widths = np.array([len(blob) // n_classes for blob in blobs], dtype=np.int64)
    for width in np.unique(widths):
        rows = np.flatnonzero(widths == width)
        data = b"".join(blobs[row] for row in rows.tolist())
        table[rows] = np.frombuffer(data, np.dtype(f"<i{width}")).reshape(len(rows), n_classes)
    return table


def _lookup(db: sqlite3.Connection, scope: str, queries: dict[str, int]) -> dict[str, bytes]:
    wanted = list(queries)
    found: dict[str, bytes] = {}
    for start in range(0, len(wanted), 500):  # below every SQLite's limit on parameters
        part = wanted[start : start + 500]
        marks = ",".join("?" * len(part))
        query = f"SELECT query, votes FROM answers WHERE scope = ? AND query IN ({marks})"  # noqa: S608 - ?, ?, ...
        found.update(db.execute(query, (scope, *part)))
    return found
