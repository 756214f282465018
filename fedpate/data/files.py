"""Files of the user's: found or refused in one line that never quotes what is in them.

pandas and pyarrow are imported when they are used: the configuration imports every source.
"""

import re
import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fedpate.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

PARQUET = (".parquet", ".pq")
_LISTED = 20  # names of columns in one message
_LIKE_A_VALUE = re.compile(r"[-+]?\d+([-./:e]\d.*)?")  # 63, 1.5, 2024-01-31, 12:30


def is_file(path: Path) -> bool:
    """A file that this user can get at; False where asking fails."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """A folder that this user can get at; False where asking fails."""
    try:
        return path.is_dir()
    except OSError:
        return False


def listed(names: Sequence[str]) -> str:
    """The first names, cut to a readable length."""
    shown = ", ".join(name if len(name) <= 40 else f"{name[:37]}..." for name in names[:_LISTED])
    return shown if len(names) <= _LISTED else f"{shown} and {len(names) - _LISTED} more"


def read_table(path: Path, setting: str) -> "pd.DataFrame":
    """A CSV (UTF-8, commas, also compressed) or Parquet file with distinct, named columns.

    Args:
      path: the file; Parquet if its suffix is in `PARQUET`.
      setting: what messages call it, e.g. "data.path=a.csv".

    Raises:
      DataError: no such file, or not readable as it should be.
    """
    import pandas as pd
    import pyarrow as pa

    path = path.expanduser()
    if not is_file(path):
        raise DataError(f"{setting} must be a file, it is a folder or not there")
    parquet = path.suffix.lower() in PARQUET
    try:
        return _read_parquet(path, setting) if parquet else _read_csv(path, setting)
    except pd.errors.EmptyDataError:
        raise DataError(f"{setting} must hold records, it is empty") from None
    except (
        pa.ArrowException,
        pd.errors.ParserError,
        pd.errors.ParserWarning,
        OSError,
        EOFError,
        UnicodeError,
        OverflowError,
    ) as error:
        # `from None`: a parser may quote a cell.
        kind = "Parquet" if parquet else "CSV in UTF-8"
        raise DataError(f"{setting} cannot be read as {kind} ({type(error).__name__})") from None


def _read_csv(path: Path, setting: str) -> "pd.DataFrame":
    import pandas as pd

    header = pd.read_csv(
        path,
        header=None,
        nrows=1,
        dtype=str,
        keep_default_na=False,
        skipinitialspace=True,
        encoding="utf-8-sig",
    )
    names = [str(name).strip() for name in header.iloc[0]]
    _check_names(names, setting)
    with warnings.catch_warnings():
        # A row with more cells than the header would lose some, or shift all of them.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return pd.read_csv(
            path,
            header=0,
            names=names,
            index_col=False,
            skipinitialspace=True,
            low_memory=False,
            encoding="utf-8-sig",
        )


def _read_parquet(path: Path, setting: str) -> "pd.DataFrame":
    from pyarrow import parquet

    table = parquet.ParquetFile(path).read()
    _check_names(table.column_names, setting)
    frame: pd.DataFrame = table.to_pandas()
    return frame


def _check_names(names: Sequence[str], setting: str) -> None:
    """Refuse a table without a header before any message lists its first record as names."""
    values = sum(bool(_LIKE_A_VALUE.fullmatch(name.strip())) for name in names)
    if values:
        raise DataError(
            f"{setting} must begin with a line of column names, {values} of {len(names)} "
            "look like values"
        )
    unnamed = sum(not name.strip() for name in names)
    if unnamed:
        raise DataError(f"{setting} must name every column, {unnamed} of {len(names)} have no name")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{setting} must have distinct column names, several are {listed(twice)}")
