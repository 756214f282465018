"""A program of the hospital's own that trains and votes, in whatever environment it lives.

The program is called as `PROGRAM FOLDER`. In the folder it finds

  train.npz   features (n, ...) float32, preprocessed; labels (n,) int64
  query.npz   features (m, ...) float32, preprocessed
  task.json   n_classes, seed (its only source of randomness, if it is to be repeatable)

and it leaves there `votes.npy`, (m,) whole numbers in [0, n_classes); with votes=probabilities it
leaves `probabilities.npy`, (m, n_classes), or `votes.npy` if it has no probabilities. Exit code 0.
The folder is private and gone afterwards; what the program prints stays in the hospital's log.
"""

import json
import logging
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import DataError
from fedpate.learning.fitted import one_hot
from fedpate.learning.stored_format import Arrays, split_preprocessing, with_preprocessing
from fedpate.records import Features, Floats, Ints, LabelledData

log = logging.getLogger(__name__)

SHOWN = 2000  # characters of a failed program's words that the hospital's log keeps
SUM_ERROR = 1e-3  # how far a row of probabilities may be from one, before it is made to be


@dataclass(frozen=True, eq=False)
class CommandTeacher:
    """Records and a seed; with a program, a teacher. The program is never stored with it."""

    suffix: ClassVar[str] = ".command"
    shard: LabelledData
    preprocessing: Preprocessing
    seed: int
    timeout_s: float
    program: Path | None = None

    @property
    def n_classes(self) -> int:
        """Number of classes of the federation."""
        return self.shard.n_classes

    def by(self, program: Path) -> "CommandTeacher":
        """The teacher that this program makes of the records."""
        return replace(self, program=program)

    def votes(self, features: Features) -> Ints:
        """The program's classes."""
        found = self._run(features, ("votes.npy",))
        return _checked_votes(found, len(features), self.n_classes)

    def probabilities(self, features: Features) -> Floats:
        """The program's probabilities; 1 for its class where it has none."""
        found = self._run(features, ("probabilities.npy", "votes.npy"))
        if found.ndim == 1:
            votes = _checked_votes(found, len(features), self.n_classes)
            return one_hot(votes, self.n_classes)
        return _checked_shares(found, len(features), self.n_classes)

    def to_file(self) -> tuple[Any, Arrays]:
        """The records, so that an answer needs no data source; no program."""
        arrays = {"features": self.shard.features, "labels": self.shard.labels}
        header = [self.seed, self.timeout_s, self.n_classes]
        return header, with_preprocessing(self.preprocessing, arrays)

    @classmethod
    def from_file(cls, header: Any, arrays: Arrays) -> Self:
        """Read what `to_file` gave."""
        preprocessing, own = split_preprocessing(arrays)
        seed, timeout_s, n_classes = header
        shard = LabelledData(own["features"], own["labels"], n_classes)
        return cls(shard, preprocessing, seed, timeout_s)

    def _run(self, features: Features, wanted: tuple[str, ...]) -> npt.NDArray[Any]:
        """The first of the wanted files that the program left."""
        if self.program is None:
            raise DataError("models.command must name the program of a command teacher, got none")
        with tempfile.TemporaryDirectory(prefix="fedpate-") as name:  # mode 0700
            folder = Path(name)
            self._lay_out(folder, features)
            self._call(self.program, folder)
            for file in wanted:
                if (folder / file).is_file():
                    return _read(folder / file)
        raise DataError(f"models.command must leave {' or '.join(wanted)} in its folder")

    def _lay_out(self, folder: Path, features: Features) -> None:
        train, query = (
            self.preprocessing.apply(part).astype(np.float32)
            for part in (self.shard.features, features)
        )
        np.savez(folder / "train.npz", features=train, labels=self.shard.labels)
        np.savez(folder / "query.npz", features=query)
        task = {"n_classes": self.n_classes, "seed": self.seed % 2**32}
        (folder / "task.json").write_text(json.dumps(task), encoding="utf-8")

    def _call(self, program: Path, folder: Path) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - the hospital's own program, no shell
                [str(program), str(folder)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=self.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DataError(
                f"models.command must end within teacher.timeout_s={self.timeout_s:g}"
            ) from None  # the cause holds what the program printed
        except OSError as error:
            raise DataError(f"models.command must be a program: {error.strerror}") from error
        if done.returncode:
            said = done.stdout.decode(errors="replace")[-SHOWN:]
            log.warning("models.command exited with %d and said:\n%s", done.returncode, said)
            raise DataError(f"models.command must exit with 0, got {done.returncode}")


def _read(path: Path) -> npt.NDArray[Any]:
    try:
        found: npt.NDArray[Any] = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path.name} must be numbers in numpy's npy format") from error
    return found


def _checked_votes(votes: npt.NDArray[Any], n: int, n_classes: int) -> Ints:
    if votes.shape != (n,) or votes.dtype.kind not in "iu":
        raise DataError(
            f"votes.npy must hold {n} whole numbers, got {votes.dtype} of shape {votes.shape}"
        )
    if ((votes < 0) | (votes >= n_classes)).any():
        raise DataError(f"votes.npy must hold classes in [0, {n_classes})")
    return votes.astype(np.int64)


def _checked_shares(shares: npt.NDArray[Any], n: int, n_classes: int) -> Floats:
    if shares.shape != (n, n_classes) or shares.dtype.kind != "f":
        raise DataError(
            f"probabilities.npy must hold numbers of shape {(n, n_classes)}, "
            f"got {shares.dtype} of shape {shares.shape}"
        )
    table = shares.astype(np.float64)
    sums = table.sum(axis=1, keepdims=True)
    if not ((table >= 0).all() and (np.abs(sums - 1) <= SUM_ERROR).all()):
        raise DataError("probabilities.npy must hold rows that are >= 0 and sum to 1")
    on_simplex: Floats = table / sums
    return on_simplex
