"""Trained teachers on the hospital's own disk: nobody trains the same teacher twice.

An entry's key is a hash of everything that a training depends on: the teacher's settings and the
version of the library behind it, the preprocessing, the shard's content and the seed. Its file name
ends with the SHA-256 of its content, so a damaged file is seen and trained again, never used. Files
appear by `os.replace`, whole or not at all; processes that write the same key at the same time
write files that are each complete, and either will do.

Trust: the folder holds models of private records and belongs to the hospital alone (mode 0700).
Networks are safetensors, which hold numbers only; models of other libraries are bytes of formats
that hold no code. A scikit-learn classifier has no such format: it
is a pickle, which may run code when it is read. It is read only if file and folder belong to this
user and nobody else may write to them; whoever can write there as this user could already run
code. The checksum guards against damage, not against such a person.
"""

import fcntl
import hashlib
import json
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning import extras, stored_format
from fedpate.learning.fitted import FittedTeacher
from fedpate.learning.teachers import Teacher
from fedpate.learning.trained_once import forget, kept_forever
from fedpate.records import LabelledData, content_hash

log = logging.getLogger(__name__)

VERSION = 1  # of what training computes and of the files; another one finds nothing
LIMIT_BYTES = 4 * 2**30
IN_USE_S = 3600.0  # an entry used within so many seconds may be needed by a run: never evicted
TEMPORARY = "tmp-"


@dataclass(frozen=True)
class Entry:
    """One stored teacher, as `fedpate store` lists it."""

    key: str
    kind: str  # of the file: "net", "pickle", "adapted", ... (`stored_format.KINDS`)
    size: int  # bytes
    last_used: float  # seconds since 1970
    path: Path


class TeacherStore:
    """Teachers by key in a folder, the least recently used evicted above a limit."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder, self.limit_bytes = Path(folder), limit_bytes
        self._lock = threading.Lock()
        self._bytes: int | None = None  # an estimate between two looks at the folder

    def key(
        self,
        teacher: Teacher,
        shard: LabelledData,
        preprocessing: Preprocessing,
        seed: int,
        noise_seed: int | None = None,
    ) -> str:
        """Hexadecimal key of the teacher that these give, whether it is stored or not.

        `noise_seed` counts for private teachers only: theirs with seeded noise are no others'.
        """
        depends_on = {
            "version": VERSION,
            "library": [teacher.library, extras.version(teacher.library)],
            "teacher": [teacher.name, asdict(teacher)],  # type: ignore[call-overload]
            "preprocessing": preprocessing.hash(),
            "shard": [content_hash(shard.features, shard.labels), shard.n_classes],
            "seed": seed,
        }
        if getattr(type(teacher), "private", False):
            depends_on["noise"] = noise_seed
        return hashlib.sha256(json.dumps(depends_on, sort_keys=True).encode()).hexdigest()

    def get(self, key: str) -> FittedTeacher | None:
        """The stored teacher; None if there is none that is whole. A damaged entry is removed."""
        for path in self._folder_of(key).glob(f"{key}-*"):
            try:
                content = path.read_bytes()
                if hashlib.sha256(content).hexdigest() != path.stem.rpartition("-")[2]:
                    log.warning("a damaged teacher was removed from the store; it is trained again")
                    path.unlink(missing_ok=True)
                    continue
                teacher = stored_format.decode(path, content)
                os.utime(path)  # the time of last use
            except FileNotFoundError:  # evicted by another process in this moment
                continue
            if teacher is not None:
                return teacher
        return None

    def put(self, key: str, teacher: FittedTeacher) -> None:
        """Write an entry; whole or not at all."""
        suffix, content = stored_format.encode(teacher)
        folder = self._folder_of(key)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder.chmod(0o700)
        handle, temporary = tempfile.mkstemp(prefix=TEMPORARY, dir=folder)  # mode 0600
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            name = f"{key}-{hashlib.sha256(content).hexdigest()}{suffix}"
            Path(temporary).replace(folder / name)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        self._make_room(len(content))

    @contextmanager
    def alone(self, work: str) -> Iterator[None]:
        """Inside, no other process does this work: it waits, and then finds what was stored.

        Args:
          work: a hash, in hexadecimal, that names it.
        """
        folder = self.folder / "locks"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (folder / work[:2]).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # goes with the process
            yield

    def list(self) -> "list[Entry]":
        """All entries, the least recently used first."""
        return sorted(self._entries(), key=lambda entry: (entry.last_used, entry.key))

    def clean(self, unused_for_s: float = 0.0, *, private: bool = False) -> tuple[int, int]:
        """Remove the entries not used for so many seconds; (how many, bytes).

        Private teachers that were trained once stay, unless `private`: then it is forgotten, too,
        that they were trained. What a crash left half-written goes too.
        """
        before = time.time() - unused_for_s
        forever = set() if private else kept_forever(self.folder)
        removed = [
            entry
            for entry in self._entries()
            if entry.last_used <= before and entry.key not in forever
        ]
        for entry in removed:
            entry.path.unlink(missing_ok=True)
        for left in self.folder.glob(f"*/{TEMPORARY}*"):
            if time.time() - left.stat().st_mtime > IN_USE_S:
                left.unlink(missing_ok=True)
        if private:
            forget(self.folder)
        with self._lock:
            self._bytes = None
        return len(removed), sum(entry.size for entry in removed)

    def _folder_of(self, key: str) -> Path:
        return self.folder / key[:2]  # no folder with a hundred thousand files

    def _entries(self) -> Iterator[Entry]:
        for path in self.folder.glob("??/*-*.*"):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            kind = stored_format.KINDS.get(path.suffix)
            if kind is not None:
                key = path.stem.rpartition("-")[0]
                yield Entry(key, kind, status.st_size, status.st_mtime, path)

    def _make_room(self, added: int) -> None:
        """Evict down to nine tenths of the limit, once it is passed."""
        with self._lock:
            if self._bytes is not None:
                self._bytes += added
                if self._bytes <= self.limit_bytes:
                    return
            entries = self.list()
            self._bytes = sum(entry.size for entry in entries)
            if self._bytes <= self.limit_bytes:
                return
            forever = kept_forever(self.folder)
            for entry in entries:
                if entry.key in forever:
                    continue
                if self._bytes <= 0.9 * self.limit_bytes:
                    break
                if time.time() - entry.last_used < IN_USE_S:
                    break
                entry.path.unlink(missing_ok=True)
                self._bytes -= entry.size
