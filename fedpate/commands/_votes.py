"""Vote histograms from a user's file: .npy, .npz or CSV; refused in one line, never quoted."""

import csv
import math
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedpate.errors import DataError
from fedpate.privacy.histograms import validated
from fedpate.records import Ints

MOST_BYTES = 2**31  # unpacked; an .npz may claim anything
NPZ_FILE, NPZ_KEY = "votes.npz", "counts"  # in the run directory of a simulation


def read_votes(path: Path, name: str = "VOTES") -> Ints:
    """(n_queries, n_classes) counts; every row sums to the number of teachers.

    Args:
      path: `.npy`; `.npz` with an array `counts`, or with one array only; anything else is read as
        CSV, with or without a header. Of a run directory, its votes.npz.
      name: what messages call the file.

    Raises:
      DataError: no such file, not a file of this kind, or not vote counts.
    """
    path = path.expanduser()
    path = path / NPZ_FILE if path.is_dir() else path
    if not path.is_file():
        raise DataError(f"{name} must be a file with vote counts, {path} is not there")
    kinds = {".npy": "a .npy file", ".npz": "an .npz file with an array 'counts'"}
    kind = kinds.get(path.suffix.lower(), "a CSV file of numbers")
    try:
        table = _READERS.get(path.suffix.lower(), _read_csv)(path)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"{name} must be {kind}, {path} cannot be read as one") from error
    return validated(table, f"{name}={path}")


def _read_npy(path: Path) -> npt.NDArray[np.generic]:
    loaded: npt.NDArray[np.generic] = np.load(path, allow_pickle=False)
    return loaded


def _read_npz(path: Path) -> npt.NDArray[np.generic]:
    with zipfile.ZipFile(path) as archive:
        if sum(item.file_size for item in archive.infolist()) > MOST_BYTES:
            raise ValueError("too large")
    with np.load(path, allow_pickle=False) as arrays:
        names = list(arrays)
        loaded: npt.NDArray[np.generic] = arrays[NPZ_KEY if len(names) != 1 else names[0]]
        return loaded


def _read_csv(path: Path) -> npt.NDArray[np.generic]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.reader(file) if row]
    if rows and not _is_numeric(rows[0]):
        rows = rows[1:]  # a header
    return np.array([[float(cell) for cell in row] for row in rows])


def _is_numeric(row: list[str]) -> bool:
    try:
        return all(math.isfinite(float(cell)) for cell in row)
    except ValueError:
        return False


_READERS = {".npy": _read_npy, ".npz": _read_npz}
