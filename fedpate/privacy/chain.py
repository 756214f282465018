"""A hash chain over entries, as data: any later change of the past can be found.

hash(n) = SHA-256 of the canonical JSON of [n, time, kind, body, hash(n - 1)], with 64 zeros for
hash(0). `chain_file` keeps such a chain on disk.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from fedpate.errors import LedgerError


@dataclass(frozen=True)
class Entry:
    """One line of the chain; `body` is canonical JSON of an object."""

    seq: int
    time: str  # UTC, ISO 8601
    kind: str
    body: str
    previous: str
    hash: str

    @property
    def fields(self) -> dict[str, Any]:
        """The body, parsed.

        Raises:
          LedgerError: it is not a JSON object.
        """
        try:
            fields = json.loads(self.body)
        except ValueError as error:
            raise LedgerError(f"the body of entry {self.seq} is not JSON") from error
        if not isinstance(fields, dict):
            raise LedgerError(f"the body of entry {self.seq} is not a JSON object")
        return fields


@dataclass(frozen=True)
class Head:
    """The end of a chain: how many entries, and the hash of the last."""

    count: int = 0
    hash: str = "0" * 64


@dataclass(frozen=True)
class Verification:
    """What a check of a whole file found; `problems` is empty for a sound one."""

    head: Head
    problems: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """No problem was found."""
        return not self.problems


def link(head: Head, time: str, kind: str, body: str) -> Entry:
    """The entry that continues a chain ending at `head`."""
    seq = head.count + 1
    return Entry(seq, time, kind, body, head.hash, _hash(seq, time, kind, body, head.hash))


def end(entries: Sequence[Entry], start: Head) -> Head:
    """The head of the chain `start` followed by `entries`."""
    return Head(entries[-1].seq, entries[-1].hash) if entries else start


def first_broken_link(entries: Iterable[Entry], start: Head) -> str | None:
    """Say, in words, where `entries` fail to continue the chain that ends at `start`.

    Only the first place: all that follows hangs on it.
    """
    seq, previous = start.count, start.hash
    for entry in entries:
        seq += 1
        texts = (entry.time, entry.kind, entry.body, entry.previous, entry.hash)
        if not (isinstance(entry.seq, int) and all(isinstance(text, str) for text in texts)):
            return f"entry {seq} holds a value of the wrong type"
        if entry.seq != seq:
            return f"entry {seq} is missing: entry {entry.seq} stands in its place"
        if entry.previous != previous:
            return f"entry {seq} does not follow entry {seq - 1}"
        if entry.hash != _hash(seq, *texts[:4]):
            return f"entry {seq} was changed: its contents do not give its hash"
        previous = entry.hash
    return None


def _hash(seq: int, time: str, kind: str, body: str, previous: str) -> str:
    return hashlib.sha256(json.dumps([seq, time, kind, body, previous]).encode()).hexdigest()
