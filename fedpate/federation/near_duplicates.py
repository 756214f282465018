"""How many questions hardly differ from one that was asked before.

A question that is changed a little is a new one: it is charged, and gets noise of its own. Many of
them about one record are an attempt to average the noise away; the ledger bounds what that can
reveal, and a hospital's policy may bound the attempts. Two questions are near if they differ, but
in no value by more than about `NEARNESS` of it; equal ones are repeats and not counted. Of wide
questions (images) `MOST_COLUMNS` random combinations are compared, which only the hospital knows.
A limit, not a proof: who changes one column a lot has asked a new question.
"""

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from fedpate.records import Features, content_hash

NEARNESS = 0.01  # relative
MOST_COLUMNS = 32
_SMALLEST = 1e-3  # values around zero that are as good as zero
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS key (one INTEGER PRIMARY KEY CHECK (one = 1), seed BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS asked (
    query TEXT PRIMARY KEY NOT NULL, sketch BLOB NOT NULL, near INTEGER NOT NULL) WITHOUT ROWID""",
)

Sketches = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NearDuplicates:
    """All new questions ever asked, as sketches, in one private file."""

    path: Path

    def count(self) -> int:
        """Near duplicates among the questions so far."""
        with self._open() as db:
            return _count(db)

    def count_with(self, features: Features) -> int:
        """Near duplicates if these questions (n_queries, ...) were asked too."""
        with self._open() as db:
            return _count(db) + sum(near for _, _, near in _new(db, features))

    def remember(self, features: Features) -> None:
        """These questions are asked; safe to repeat."""
        with self._open() as db, db:
            db.executemany("INSERT OR IGNORE INTO asked VALUES (?, ?, ?)", _new(db, features))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        if not self.path.exists():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.touch(mode=0o600)
        with closing(sqlite3.connect(self.path, timeout=60)) as db:
            for statement in _SCHEMA:
                db.execute(statement)
            with db:
                db.execute("INSERT OR IGNORE INTO key VALUES (1, ?)", (secrets.token_bytes(16),))
            yield db


def _count(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT count(*) FROM asked WHERE near").fetchone()[0])


def _new(db: sqlite3.Connection, features: Features) -> list[tuple[str, bytes, int]]:
    """(content hash, sketch, whether it is near an earlier one) of each question not yet asked."""
    before = dict(db.execute("SELECT query, sketch FROM asked"))
    rows = {content_hash(row): place for place, row in reversed(list(enumerate(features)))}
    fresh = sorted(place for query, place in rows.items() if query not in before)
    if not fresh:
        return []
    sketches = _sketch(db, features[fresh])
    width = sketches.shape[1]
    alike = [blob for blob in before.values() if len(blob) == sketches[0].nbytes]
    old = np.frombuffer(b"".join(alike), np.float32).reshape(-1, width)
    tree = cKDTree(np.concatenate([old, sketches]))
    names = {place: query for query, place in rows.items()}
    found = []
    for at, neighbours in enumerate(tree.query_ball_point(sketches, NEARNESS, p=np.inf)):
        near = any(place < len(old) + at for place in neighbours)  # an earlier one
        found.append((names[fresh[at]], sketches[at].tobytes(), int(near)))
    return found


def _sketch(db: sqlite3.Connection, features: Features) -> Sketches:
    """(n_queries, at most MOST_COLUMNS): on a logarithmic scale, so that distances are relative."""
    flat = np.nan_to_num(features.reshape(len(features), -1).astype(np.float64))
    if flat.shape[1] > MOST_COLUMNS:
        (seed,) = db.execute("SELECT seed FROM key").fetchone()
        draw = np.random.default_rng(int.from_bytes(seed, "big"))
        flat = flat @ draw.random((flat.shape[1], MOST_COLUMNS))
    scaled = np.sign(flat) * np.log1p(np.abs(flat) / _SMALLEST)
    return scaled.astype(np.float32)
