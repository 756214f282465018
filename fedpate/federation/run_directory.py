"""The files that a run leaves: all of them, or none; `summary.json` last.

Files are drafted in a hidden folder beside their place and moved in one by one, so a run that is
interrupted leaves no half-written file. The ledger is the exception: once something is charged it
stays, whatever happens next.
"""

import csv
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import numpy as np

from fedpate import _json
from fedpate.errors import ConfigError, LedgerError
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.records import NO_ANSWER, Release, Votes

SUMMARY, DETAILS = "summary.json", "details.json"
LEDGER = "ledger.sqlite"
DRAFT = ".draft-"
OPTIONAL = ("student.pt", "student.onnx", "votes.npz")  # what not every run leaves


@contextmanager
def unpaid_leaves_nothing(path: Path) -> Iterator[None]:
    """If what is inside fails before anything is charged, what it made in `path` is removed.

    For the process that runs the coordinator, and for one that has to kill it.
    """
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    ledger_is_new = not (path / LEDGER).exists()
    try:
        yield
    except BaseException:
        for draft in path.glob(f"{DRAFT}*"):
            shutil.rmtree(draft, ignore_errors=True)
        if ledger_is_new and not _has_charges(path / LEDGER):
            for suffix in ("", "-wal", "-shm"):
                with suppress(OSError):  # never there, or the place cannot be written
                    (path / f"{LEDGER}{suffix}").unlink()
        for folder in made:
            try:
                folder.rmdir()
            except OSError:  # not empty, so not only ours
                break
        raise


class RunDirectory:
    """A folder for one run's files, and its open ledger; a context manager."""

    def __init__(self, path: Path, ledger: str | None, federation: str) -> None:
        self.path = path
        self._ledger_path = path / LEDGER if ledger is None else Path(ledger)
        self._federation = federation

    def __enter__(self) -> Self:
        """Make the folder if needed and open the ledger.

        Raises:
          ConfigError: the folder cannot be written.
          LedgerError: the ledger cannot be trusted.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
        except OSError as error:
            raise ConfigError(
                f"hydra.run.dir must be a folder that can be written, got {str(self.path)!r}: "
                f"{error.strerror}"
            ) from error
        self.ledger = PrivacyLedger.open(self._ledger_path, self._federation)
        return self

    def __exit__(self, *_: object) -> None:
        self.ledger.close()

    def publish(
        self,
        release: Release,
        save_student: Callable[[Path], None] | None,
        votes: Votes | None,
        summary: dict[str, Any],
        details: dict[str, Any],
    ) -> None:
        """Write everything, then move it into place.

        Args:
          release: the public labels.
          save_student: writes the student's files into a folder; None without a student.
          votes: the tally (simulation only).
          summary: becomes `summary.json`.
          details: become `details.json`.

        Raises:
          ConfigError: the folder cannot be written any more; the labels are in the ledger.
        """
        try:
            self._publish(release, save_student, votes, summary, details)
        except OSError as error:
            raise ConfigError(
                f"hydra.run.dir must be a folder that can be written, got {str(self.path)!r}: "
                f"{error.strerror}; the labels are in the ledger, so the same run again asks nobody"
            ) from error

    def _publish(
        self,
        release: Release,
        save_student: Callable[[Path], None] | None,
        votes: Votes | None,
        summary: dict[str, Any],
        details: dict[str, Any],
    ) -> None:
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self.path))
        try:
            _write_labels(draft / "labels.csv", release)
            if save_student is not None:
                save_student(draft)
            if votes is not None:
                counts = votes.counts if votes.parts == 1 else votes.counts / votes.parts
                np.savez_compressed(draft / "votes.npz", counts=counts, query_ids=votes.query_ids)
            if self._ledger_path != self.path / LEDGER:
                self.ledger.copy(draft / LEDGER)  # as it is at the end of this run
            for name, content, indent in ((DETAILS, details, None), (SUMMARY, summary, 1)):
                text = _json.dumps(content, indent=indent) + "\n"
                (draft / name).write_text(text, encoding="utf-8")
            for name in (SUMMARY, *OPTIONAL):  # of an earlier run into this folder
                (self.path / name).unlink(missing_ok=True)
            files = sorted(draft.iterdir(), key=lambda file: file.name == SUMMARY)
            for file in files:
                _sync(file)
                file.replace(self.path / file.name)
        finally:
            shutil.rmtree(draft, ignore_errors=True)


def _has_charges(ledger: Path) -> bool:
    if not ledger.exists():
        return False
    try:
        with PrivacyLedger.read(ledger) as opened:
            return bool(opened.book().charges)
    except LedgerError:  # nobody knows: it stays
        return True


def _write_labels(path: Path, release: Release) -> None:
    """`query_id,label`; a query without an answer has an empty label."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["query_id", "label"])
        pairs = zip(release.query_ids.tolist(), release.labels.tolist(), strict=True)
        writer.writerows((query, "" if label == NO_ANSWER else label) for query, label in pairs)


def _sync(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
