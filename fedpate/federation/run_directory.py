"""The files that a run leaves: all of them, or none; `summary.json` last.

Files are drafted in a hidden folder beside their place and moved in one by one, so a run that is
interrupted leaves no half-written file. The ledger is the exception: once something is charged it
stays, whatever happens next.
"""

import csv
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np

from fedpate import _json
from fedpate.errors import ConfigError
from fedpate.privacy.ledger import PrivacyLedger
from fedpate.records import NO_ANSWER, Release, Votes

SUMMARY = "summary.json"
LEDGER = "ledger.sqlite"


class RunDirectory:
    """A folder for one run's files; a context manager that cleans up what was not finished."""

    def __init__(self, path: Path, ledger: str | None, federation: str) -> None:
        self.path = path
        self._ledger_path = path / LEDGER if ledger is None else Path(ledger)
        self._federation = federation
        self._published = False

    def __enter__(self) -> Self:
        """Make the folder if needed and open the ledger.

        Raises:
          ConfigError: the folder cannot be written.
          LedgerError: the ledger cannot be trusted.
        """
        self._made = [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.path):
                pass
            self._ledger_path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self._remove_folders()
            raise ConfigError(
                f"hydra.run.dir must be a folder that can be written, got {str(self.path)!r}: "
                f"{error.strerror}"
            ) from error
        self._ledger_is_new = not self._ledger_path.exists()
        try:
            self.ledger = PrivacyLedger.open(self._ledger_path, self._federation)
        except BaseException:
            self._remove_folders()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        unused = self._ledger_is_new and not self.ledger.book().charges
        self.ledger.close()
        if self._published:
            return
        if unused:
            self._ledger_path.unlink(missing_ok=True)
        self._remove_folders()

    def publish(
        self,
        release: Release,
        save_student: Callable[[Path], None] | None,
        votes: Votes | None,
        summary: dict[str, Any],
    ) -> None:
        """Write everything, then move it into place.

        Args:
          release: the public labels.
          save_student: writes `student.pt`; None when no query was answered.
          votes: the tally (simulation only).
          summary: becomes `summary.json`.
        """
        draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=self.path))
        try:
            _write_labels(draft / "labels.csv", release)
            if save_student is not None:
                save_student(draft / "student.pt")
            if votes is not None:
                np.savez_compressed(
                    draft / "votes.npz", counts=votes.counts, query_ids=votes.query_ids
                )
            (draft / SUMMARY).write_text(_json.dumps(summary, indent=1) + "\n", encoding="utf-8")
            (self.path / SUMMARY).unlink(missing_ok=True)  # of an earlier run into this folder
            files = sorted(draft.iterdir(), key=lambda file: file.name == SUMMARY)
            for file in files:
                _sync(file)
                file.replace(self.path / file.name)
            self._published = True
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def _remove_folders(self) -> None:
        for folder in self._made:
            try:
                folder.rmdir()
            except OSError:  # not empty, so not only ours; or never made
                return


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
