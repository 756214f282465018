"""Arrays of numbers out of an npz file that somebody else made: no pickle, and no zip bomb.

An npz is a zip of `.npy` files. What the zip's directory declares is checked before anything is
unpacked: the members, their compression and their size. What the `.npy` header declares must then
account for every byte, and no more than that is ever unpacked; a size that was declared too small
ends in a wrong checksum. So memory stays below `MOST_BYTES`, whatever the file says.
"""

import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from numpy.lib import format as npy

from fedpate.data.files import is_file
from fedpate.errors import DataError, FedPateError

Integers = npt.NDArray[np.integer[Any]]

MOST_BYTES = 2**30  # of the file, and of all arrays together; PathMNIST, the largest, has 252 MB
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what numpy writes
WHOLE, NUMBERS = "ui", "uif"  # numpy's letters of types
_ENCRYPTED = 1  # bit of a member's flags


def read_arrays(
    path: Path,
    names: Sequence[str],
    setting: str,
    kinds: str = WHOLE,
    optional: Sequence[str] = (),
) -> dict[str, npt.NDArray[Any]]:
    """Read some arrays of numbers; other members of the file are left alone.

    Args:
      path: the npz file.
      names: the arrays, as `numpy.load` would name them.
      setting: what messages call the file, e.g. "data.root=data: bloodmnist.npz".
      kinds: numpy's letters of the types that may come: `WHOLE`, or `NUMBERS`.
      optional: arrays that are read too where they are there.

    Raises:
      DataError: no such file, a damaged one, too large, or arrays of something else.
    """
    if not is_file(path):
        raise DataError(f"{setting} must be a file, it is a folder or not there")
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{setting} must have at most {MOST_BYTES} bytes, it is larger")
        with zipfile.ZipFile(path) as archive:
            there = set(archive.namelist())
            names = [*names, *(name for name in optional if f"{name}.npy" in there)]
            members = _members(archive, names, setting)
            return {
                name: _read(archive, members[name], f"{setting}: {name}", kinds) for name in names
            }
    except FedPateError:
        raise
    # RuntimeError and its NotImplementedError: a feature of zip that the standard library lacks.
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, RuntimeError) as error:
        raise DataError(f"{setting} cannot be read as npz ({type(error).__name__})") from None


def _members(
    archive: zipfile.ZipFile, names: Sequence[str], setting: str
) -> dict[str, zipfile.ZipInfo]:
    """The members that hold the arrays, if they are as numpy writes them and small enough."""
    found = {info.filename: info for info in archive.infolist()}
    missing = [name for name in names if f"{name}.npy" not in found]
    if missing:
        raise DataError(f"{setting} must hold the arrays {', '.join(names)}; no {missing[0]}")
    members = {name: found[f"{name}.npy"] for name in names}
    declared = sum(info.file_size for info in members.values())
    if declared > MOST_BYTES:
        raise DataError(
            f"{setting} must hold at most {MOST_BYTES} bytes unpacked, it declares {declared}"
        )
    if any(
        info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED
        for info in members.values()
    ):
        raise DataError(f"{setting} must be stored or deflated and not encrypted")
    return members


def _read(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, what: str, kinds: str
) -> npt.NDArray[Any]:
    with archive.open(info) as stream:
        shape, column_major, dtype = _header(stream, what, kinds)
        n_bytes = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or n_bytes != info.file_size - stream.tell():
            raise DataError(f"{what} must be as long as its header says, it is not")
        content = stream.read(n_bytes)
        if len(content) != n_bytes or stream.read(1):  # reading to the end checks the checksum
            raise DataError(f"{what} must be as long as the zip file says, it is not")
    order = "F" if column_major else "C"
    return np.frombuffer(content, dtype).reshape(shape, order=order)  # type: ignore[call-overload,no-any-return]


def _header(
    stream: IO[bytes], what: str, kinds: str
) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(stream)
    if version == (1, 0):
        shape, column_major, dtype = npy.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, column_major, dtype = npy.read_array_header_2_0(stream)
    else:
        raise DataError(f"{what} must be of version 1.0 or 2.0 of the npy format")
    if dtype.kind not in kinds:  # also keeps out "O", which would be a pickle
        wanted = "whole numbers" if kinds == WHOLE else "numbers"
        raise DataError(f"{what} must hold {wanted}, it holds {dtype}")
    return shape, column_major, dtype
