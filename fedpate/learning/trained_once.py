"""Private teachers are trained once: a second training on the same records is a second charge.

A record beside the store says which teachers a training gave. Whoever asks for that training again
gets those, or nothing: if the hospital's records have changed, or a teacher is gone or damaged,
fresh noise would be paid for by nobody. The teachers of such a record are never evicted.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

FOLDER = "private"  # inside the store's


class TrainedOnce:
    """The record of one hospital's one training.

    Args:
      folder: of the teacher store.
      training: names the training: everything that was asked, and the hospital.
    """

    def __init__(self, folder: Path, training: str) -> None:
        self._path = folder / FOLDER / f"{sha256(training.encode()).hexdigest()}.json"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, no other process trains the same."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def allows(self, keys: Sequence[str], stored: Sequence[bool]) -> bool:
        """Whether the teachers with these keys may be had: never trained, or all still here.

        Args:
          keys: of the teachers that would be trained now, in order.
          stored: which of them are in the store, whole.
        """
        if not self._path.exists():
            return True
        recorded: list[str] = json.loads(self._path.read_text(encoding="utf-8"))
        return recorded == list(keys) and all(stored)

    def record(self, keys: Sequence[str]) -> None:
        """From now on these and no others; on the disk before an answer can leave."""
        draft = self._path.with_suffix(".draft")
        with draft.open("w", encoding="utf-8") as file:
            json.dump(list(keys), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)


def kept_forever(folder: Path) -> set[str]:
    """The keys of all teachers that were trained once: a store keeps these.

    Args:
      folder: of the teacher store.
    """
    keys: set[str] = set()
    for path in (folder / FOLDER).glob("*.json"):
        keys.update(json.loads(path.read_text(encoding="utf-8")))
    return keys


def forget(folder: Path) -> None:
    """Forget which teachers were trained once; `folder` is the teacher store's."""
    for path in (folder / FOLDER).glob("*.json"):
        path.unlink(missing_ok=True)
