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
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from fedpate.records import Features, QueryBatch

NEARNESS = 0.01  # relative
MOST_COLUMNS = 32
_SMALLEST = 1e-3  # values around zero that are as good as zero
# So many rows at a time: memory is bounded by them and by one message, however much was asked.
_COPIED, _COMPARED, _PIECE, _PARAMETERS = 4096, 65_536, 512, 500
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS key (one INTEGER PRIMARY KEY CHECK (one = 1), seed BLOB NOT NULL)",
    """CREATE TABLE IF NOT EXISTS asked (
    query TEXT PRIMARY KEY NOT NULL, sketch BLOB NOT NULL, near INTEGER NOT NULL) WITHOUT ROWID""",
)

Sketches = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Asked:
    """One question that was never asked before."""

    query: str  # content hash
    sketch: bytes
    near: bool  # whether it is near an earlier one


@dataclass(frozen=True)
class NearDuplicates:
    """All new questions ever asked, as sketches, in one private file."""

    path: Path

    def count(self) -> int:
        """Near duplicates among the questions so far."""
        with self._open() as db:
            return _count(db)

    def look(self, batch: QueryBatch) -> list[Asked]:
        """Those questions of a batch that were never asked before; nothing is remembered."""
        with self._open() as db:
            return _new(db, batch)

    def remember(self, asked: list[Asked]) -> None:
        """These questions are asked; safe to repeat."""
        with self._open() as db, db:
            db.executemany("INSERT OR IGNORE INTO asked VALUES (?, ?, ?)", map(astuple, asked))

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


def _new(db: sqlite3.Connection, batch: QueryBatch) -> list[Asked]:
    first = {query: row for row, query in reversed(list(enumerate(batch.row_hashes())))}
    for query in _asked(db, list(first)):
        del first[query]
    if not first:
        return []
    rows = sorted(first.values())
    sketches = _sketches(db, batch.take(np.array(rows)))
    near = _near_within(sketches)
    for before in _earlier(db, sketches.shape[1]):
        near |= _near(before, sketches)
    names = {row: query for query, row in first.items()}
    triples = zip(rows, sketches, near.tolist(), strict=True)
    return [Asked(names[row], sketch.tobytes(), is_near) for row, sketch, is_near in triples]


def _asked(db: sqlite3.Connection, queries: list[str]) -> Iterator[str]:
    """Those that were asked before."""
    for start in range(0, len(queries), _PARAMETERS):
        part = queries[start : start + _PARAMETERS]
        marks = ",".join("?" * len(part))
        query = f"SELECT query FROM asked WHERE query IN ({marks})"  # noqa: S608 - ?, ?, ...
        yield from (name for (name,) in db.execute(query, part).fetchall())


def _earlier(db: sqlite3.Connection, width: int) -> Iterator[Sketches]:
    """The sketches of all earlier questions of as many columns, some at a time."""
    size = width * np.dtype(np.float32).itemsize
    found = db.execute("SELECT sketch FROM asked WHERE length(sketch) = ?", (size,))
    while part := found.fetchmany(_COMPARED):
        yield np.frombuffer(b"".join(blob for (blob,) in part), np.float32).reshape(-1, width)


def _near(before: Sketches, sketches: Sketches) -> Bools:
    """Which of `sketches` are near one of those before."""
    limit = np.nextafter(NEARNESS, 1)  # what is just as far as it is near
    distance, _ = cKDTree(before).query(sketches, p=np.inf, distance_upper_bound=limit)
    near: Bools = np.isfinite(distance)
    return near


def _near_within(sketches: Sketches) -> Bools:
    """Which of them are near one that stands before them; in memory, however many are alike."""
    near = np.zeros(len(sketches), dtype=np.bool_)
    for start in range(0, len(sketches), _PIECE):
        part = sketches[start : start + _PIECE]
        apart = np.abs(part[:, None].astype(np.float64) - part[None]).max(axis=2)
        near[start : start + _PIECE] = np.tril(apart <= NEARNESS, -1).any(axis=1)
        if start:
            near[start : start + _PIECE] |= _near(sketches[:start], part)
    return near


def _sketches(db: sqlite3.Connection, batch: QueryBatch) -> Sketches:
    """(n_queries, at most MOST_COLUMNS): on a logarithmic scale, so that distances are relative."""
    parts = [slice(start, start + _COPIED) for start in range(0, len(batch), _COPIED)]
    return np.concatenate([_sketch(db, batch.take(part).features) for part in parts])


def _sketch(db: sqlite3.Connection, features: Features) -> Sketches:
    flat = np.nan_to_num(features.reshape(len(features), -1).astype(np.float64))
    if flat.shape[1] > MOST_COLUMNS:
        (seed,) = db.execute("SELECT seed FROM key").fetchone()
        draw = np.random.default_rng(int.from_bytes(seed, "big"))
        flat = flat @ draw.random((flat.shape[1], MOST_COLUMNS))
    scaled = np.sign(flat) * np.log1p(np.abs(flat) / _SMALLEST)
    return scaled.astype(np.float32)
