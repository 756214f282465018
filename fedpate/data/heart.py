"""UCI Heart Disease: 920 patients of four real hospitals (Janosi, Steinbrunn, Pfisterer, Detrano).

`data.root` holds `heart-disease/processed.{cleveland,hungarian,switzerland,va}.data` as UCI ships
them (CC BY 4.0). One line is one patient: 13 features, of which "?" was not measured, and `num`,
the number of narrowed vessels; the label is num > 0.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from fedpate.data.dataset import Dataset
from fedpate.data.files import is_file
from fedpate.data.preprocessing import Floats32
from fedpate.data.splits import check_fractions
from fedpate.errors import DataError
from fedpate.records import Floats, Ints

FILES = {
    "Cleveland": "processed.cleveland.data",
    "Hungary": "processed.hungarian.data",
    "Switzerland": "processed.switzerland.data",
    "VA Long Beach": "processed.va.data",
}
COLUMNS = (
    *("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg"),
    *("thalach", "exang", "oldpeak", "slope", "ca", "thal"),
)
CLASSES = ("healthy", "diseased")
NEVER_ZERO = ("trestbps", "chol")  # mm Hg and mg/dl


@dataclass(frozen=True)
class HeartDisease:
    """Four hospitals with 303, 294, 123 and 200 patients; 13 features, two classes."""

    name: ClassVar[str] = "heart_disease"
    root: str = "data"
    pool_fraction: float = 0.2
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        check_fractions(self.pool_fraction, self.test_fraction)

    def load(self) -> Dataset:
        """All four hospitals, in the order of `FILES`; NaN stands for "not measured"."""
        folder = Path(self.root).expanduser() / "heart-disease"
        missing = [file for file in FILES.values() if not is_file(folder / file)]
        if missing:
            raise DataError(
                f"data.root={self.root} must hold heart-disease/ with {', '.join(missing)} "
                "(UCI Heart Disease)"
            )
        tables = [read_file(folder / file, "data.root") for file in FILES.values()]
        sizes = [len(labels) for _, labels in tables]
        return Dataset(
            name=self.name,
            features=np.concatenate([features for features, _ in tables]),
            labels=np.concatenate([labels for _, labels in tables]),
            class_names=CLASSES,
            patients=np.arange(sum(sizes), dtype=np.int64),
            hospitals=np.repeat(np.arange(len(tables)), sizes),
            hospital_names=tuple(FILES),
            missing_allowed=True,
            columns=COLUMNS,
        )


def read_file(path: Path, setting: str) -> tuple[Floats32, Ints]:
    """One hospital's file: (n_patients, 13) features with NaN for "not measured", and labels.

    Args:
      path: a `processed.*.data` file.
      setting: what messages call where it is.

    Raises:
      DataError: not such a file.
    """
    records = _read(path, setting)
    features = records[:, : len(COLUMNS)].astype(np.float32)
    for name in NEVER_ZERO:  # Switzerland and VA write 0 where nothing was measured
        column = COLUMNS.index(name)
        features[features[:, column] == 0, column] = np.nan
    return features, (records[:, len(COLUMNS)] > 0).astype(np.int64)


def _read(path: Path, setting: str) -> Floats:
    """(n_patients, 14) with NaN for "?"."""
    rows = []
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeError):
        raise DataError(f"{setting}: {path.name} cannot be read as text") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = [math.nan if cell.strip() == "?" else float(cell) for cell in line.split(",")]
        except ValueError:
            row = []
        if len(row) != len(COLUMNS) + 1 or any(map(math.isinf, row)) or math.isnan(row[-1]):
            raise DataError(
                f"{setting}: line {number} of {path.name} must be {len(COLUMNS)} numbers or '?' "
                "and a label"
            )
        rows.append(row)
    if not rows:
        raise DataError(f"{setting}: {path.name} must hold records, it is empty")
    return np.array(rows)
