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
_LARGEST = 64 * 2**20  # bytes of a file that is not durable; then it starts afresh
_LOCK_S = 60.0  # how long one process waits for another's transaction
_WIRE = np.dtype("<i8")


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
                votes = answer(np.array(new, dtype=np.int64)).astype(_WIRE)
                rows = [(scope, queries[row], votes[at].tobytes()) for at, row in enumerate(new)]
                with db:  # the first answer stays, also when two processes answer at once
                    db.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", rows)
                own = {query: votes for _, query, votes in rows}
                known = own | known | _lookup(db, scope, first)
        table = np.frombuffer(b"".join(known[query] for query in queries), dtype=_WIRE)
        return table.reshape(len(queries), n_classes).astype(np.int64)

    def _open(self) -> sqlite3.Connection:
        if not self._path.exists():
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.touch(mode=0o600)
        db = sqlite3.connect(self._path, timeout=_LOCK_S)
        db.execute(f"PRAGMA synchronous = {'FULL' if self._durable else 'OFF'}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(_SCHEMA)
        return db


def _bytes(db: sqlite3.Connection) -> int:
    (pages,), (size,) = (db.execute(f"PRAGMA page_{what}").fetchone() for what in ("count", "size"))
    return int(pages * size)


def _lookup(db: sqlite3.Connection, scope: str, queries: dict[str, int]) -> dict[str, bytes]:
    wanted = list(queries)
    found: dict[str, bytes] = {}
    for start in range(0, len(wanted), 500):  # below every SQLite's limit on parameters
        part = wanted[start : start + 500]
        marks = ",".join("?" * len(part))
        query = f"SELECT query, votes FROM answers WHERE scope = ? AND query IN ({marks})"  # noqa: S608 - ?, ?, ...
        found.update(db.execute(query, (scope, *part)))
    return found
