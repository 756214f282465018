"""Records to predict: a table with the columns of the training, a folder of images, or an npz.

They may be patients of the user's, so no message has anything of a cell, and files are counted.
"""

import logging
import math
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from fedpate.data.files import is_file, is_folder, listed, read_table
from fedpate.data.images import CHANNELS, SUFFIXES, read_images
from fedpate.data.schema import Column, Schema
from fedpate.errors import DataError
from fedpate.records import Features

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

BROKEN = (
    *(OSError, ValueError, KeyError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
ID = "id"  # a column of this name names the records, unless it is a feature


@dataclass(frozen=True, eq=False)
class Inputs:
    """Records and what to call them."""

    ids: Sequence[str]
    features: Features  # (n, *record_shape)


def read_inputs(path: Path, schema: Schema, record_shape: tuple[int, ...]) -> Inputs:
    """Read what a user wants to have predicted.

    Args:
      path: a CSV or Parquet file, a folder of PNG or JPEG images, or an npz with `features`.
      schema: the student's.
      record_shape: of one record.

    Raises:
      DataError: not there, not readable, or not what the student was trained on.
    """
    if path.suffix.lower() == ".npz":
        return _from_npz(path, record_shape)
    if len(record_shape) == 1:
        if is_folder(path):
            raise DataError(f"{path} must be a table: the student was trained on tables")
        return _from_table(read_table(path, str(path)), schema)
    if not is_folder(path):
        kind = "a folder of images or an npz file: the student was trained on images"
        raise DataError(f"{path} must be {kind}")
    return _from_folder(path, record_shape)


def _from_table(frame: "pd.DataFrame", schema: Schema) -> Inputs:
    """Columns are found by name; what the student does not know is left aside."""
    names = [column.name for column in schema.columns]
    missing = [
        column.name
        for column in schema.columns
        if column.name not in frame.columns and not _is_coded(frame, column)
    ]
    if missing:
        raise DataError(
            f"the table must have the columns of the training; {len(missing)} of {len(names)} "
            f"are missing: {listed(missing)}"
        )
    blocks = [block for column in schema.columns for block in _blocks(frame, column, schema)]
    named = ID in frame.columns and ID not in names
    ids = frame[ID] if named else range(1, len(frame) + 1)
    return Inputs([str(one) for one in ids], np.concatenate(blocks, axis=1))


def _is_coded(frame: "pd.DataFrame", column: Column) -> bool:
    """Whether a text column is there as one 0/1 column COLUMN=CATEGORY for each category."""
    known = [name for name in column.categories if name is not None]
    return bool(known) and all(f"{column.name}={name}" in frame.columns for name in known)


def _blocks(frame: "pd.DataFrame", column: Column, schema: Schema) -> list[npt.NDArray[np.float32]]:
    """The features of one column: one block, or one for each 0/1 column."""
    if column.name in frame.columns:
        return [_block(frame[column.name], column, schema)]
    nothing = np.zeros((len(frame), 1), np.float32)
    return [
        nothing if name is None else _numbers(frame[f"{column.name}={name}"], schema)
        for name in column.categories
    ]


def _block(values: "pd.Series[Any]", column: Column, schema: Schema) -> npt.NDArray[np.float32]:
    """(n, column.width) float32."""
    if not column.categories:
        return _numbers(values, schema)
    text = values.astype(str).to_numpy(dtype=np.str_)
    block = np.zeros((len(text), column.width), np.float32)
    for place, name in enumerate(column.categories):
        if name is not None:
            block[:, place] = text == name
    unknown = int((block.sum(axis=1) == 0).sum())
    if unknown:
        log.warning(
            "column %s: %d of %d records have a value that the student does not know",
            column.name,
            unknown,
            len(values),
        )
    return block


def _numbers(values: "pd.Series[Any]", schema: Schema) -> npt.NDArray[np.float32]:
    """(n, 1) float32; NaN only where the schema allows it."""
    from pandas.api import types

    gaps = int(values.isna().sum())
    if gaps and not schema.missing_allowed:
        raise DataError(
            f"column {values.name} must have a value in every record, "
            f"{gaps} of {len(values)} have none"
        )
    if not types.is_numeric_dtype(values.dtype) and not values.isna().all():
        raise DataError(f"column {values.name} must hold numbers, it holds {values.dtype}")
    with np.errstate(over="ignore"):
        numbers = values.to_numpy(dtype=np.float64, na_value=math.nan).astype(np.float32)
    infinite = int(np.isinf(numbers).sum())
    if infinite:
        raise DataError(
            f"column {values.name} must be finite in float32, {infinite} of {len(numbers)} are not"
        )
    return numbers[:, np.newaxis]


def _from_folder(folder: Path, record_shape: tuple[int, ...]) -> Inputs:
    """All images in a folder and below, in the order of their paths, resized as in the training."""
    files = sorted(
        file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES and is_file(file)
    )
    if not files:
        raise DataError(f"{folder} must hold images, there is no {' or '.join(SUFFIXES)}")
    channels, rows, columns = record_shape
    if rows != columns or channels not in CHANNELS:
        raise DataError(
            f"images of {channels} x {rows} x {columns} cannot come from files: "
            "give an npz with the array `features`"
        )
    images = read_images(files, "in the order of their paths", size=rows, channels=channels)
    return Inputs([str(file.relative_to(folder)) for file in files], images)


def _from_npz(path: Path, record_shape: tuple[int, ...]) -> Inputs:
    """`features`, (n, *record_shape), and `ids` if it is there; nothing is unpickled."""
    if not is_file(path):
        raise DataError(f"{path} must be a file, it is a folder or not there")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            features = arrays["features"]
            ids = arrays.get("ids", np.arange(1, len(features) + 1))
    except BROKEN as error:
        raise DataError(
            f"{path} must be an npz with the array `features` ({type(error).__name__})"
        ) from None
    if features.shape[1:] != record_shape or features.dtype.kind not in "uif":
        raise DataError(
            f"{path}: features must be numbers of shape (n, {', '.join(map(str, record_shape))}), "
            f"got {features.dtype} {features.shape}"
        )
    if ids.shape != features.shape[:1]:
        raise DataError(f"{path}: ids must have one entry for each of {len(features)} records")
    return Inputs([str(one) for one in ids.tolist()], features.astype(np.float32))
