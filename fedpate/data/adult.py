"""UCI Adult: does a person of the 1994 census earn more than 50,000 dollars a year?

`data.root` holds `adult/adult.data` and `adult/adult.test` as UCI ships them (Becker and Kohavi
1996; CC BY 4.0). One line is one person ("patient"), also where two lines agree in every column.

The split follows the PATE papers: whoever is in adult.data is private, and the public pool and the
test set are made of adult.test, here its first half (8,141 persons) and its second (8,140).

Numbers are taken as they are. A column of categories becomes one 0/1 feature for each value of the
closed list in adult.names, whether or not it occurs; "?" (unknown) is 0 in all of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fedpate.data.dataset import Dataset
from fedpate.data.files import is_file
from fedpate.errors import DataError
from fedpate.records import Ints

FILES = ("adult.data", "adult.test")
# Columns in the order of the files: a list of categories, or nothing for a number.
COLUMNS: dict[str, tuple[str, ...]] = {
    name: tuple(values.split())
    for name, values in {
        "age": "",
        "workclass": "Private Self-emp-not-inc Self-emp-inc Federal-gov Local-gov State-gov "
        "Without-pay Never-worked",
        "fnlwgt": "",
        "education": "Bachelors Some-college 11th HS-grad Prof-school Assoc-acdm Assoc-voc 9th "
        "7th-8th 12th Masters 1st-4th 10th Doctorate 5th-6th Preschool",
        "education-num": "",
        "marital-status": "Married-civ-spouse Divorced Never-married Separated Widowed "
        "Married-spouse-absent Married-AF-spouse",
        "occupation": "Tech-support Craft-repair Other-service Sales Exec-managerial "
        "Prof-specialty Handlers-cleaners Machine-op-inspct Adm-clerical Farming-fishing "
        "Transport-moving Priv-house-serv Protective-serv Armed-Forces",
        "relationship": "Wife Own-child Husband Not-in-family Other-relative Unmarried",
        "race": "White Asian-Pac-Islander Amer-Indian-Eskimo Other Black",
        "sex": "Female Male",
        "capital-gain": "",
        "capital-loss": "",
        "hours-per-week": "",
        "native-country": "United-States Cambodia England Puerto-Rico Canada Germany "
        "Outlying-US(Guam-USVI-etc) India Japan Greece South China Cuba Iran Honduras Philippines "
        "Italy Poland Jamaica Vietnam Mexico Portugal Ireland France Dominican-Republic Laos "
        "Ecuador Taiwan Haiti Columbia Hungary Guatemala Nicaragua Scotland Thailand Yugoslavia "
        "El-Salvador Trinadad&Tobago Peru Hong Holand-Netherlands",
    }.items()
}
CLASSES = ("<=50K", ">50K")
UNKNOWN = "?"


@dataclass(frozen=True)
class Adult:
    """32,561 private persons and 16,281 public ones; 105 features, two classes."""

    name: ClassVar[str] = "adult"
    root: str = "data"

    def load(self) -> Dataset:
        """The lines of adult.data, then those of adult.test."""
        folder = Path(self.root).expanduser() / "adult"
        missing = [file for file in FILES if not is_file(folder / file)]
        if missing:
            raise DataError(
                f"data.root={self.root} must hold adult/ with {', '.join(missing)} (UCI Adult)"
            )
        private, public = (_read(folder / file) for file in FILES)
        n_private, n_public = len(private[1]), len(public[1])
        n_pool = (n_public + 1) // 2
        rows = np.arange(n_private + n_public, dtype=np.int64)
        return Dataset(
            name=self.name,
            features=np.concatenate([private[0], public[0]]),
            labels=np.concatenate([private[1], public[1]]),
            class_names=CLASSES,
            patients=rows,
            fixed_split=(rows[n_private : n_private + n_pool], rows[n_private + n_pool :]),
            columns=tuple(
                f"{name}={value}" if value else name
                for name, values in COLUMNS.items()
                for value in values or ("",)
            ),
        )


def _read(path: Path) -> tuple[npt.NDArray[np.float32], Ints]:
    """One file: (n_persons, 105) features and (n_persons,) labels."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeError):
        raise DataError(f"data.root: {path.name} cannot be read as text") from None
    rows, numbers = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith("|"):  # adult.test begins with a comment
            continue
        row = [cell.strip() for cell in line.split(",")]
        if len(row) != len(COLUMNS) + 1:
            raise DataError(
                f"data.root: line {number} of {path.name} must have {len(COLUMNS)} columns "
                "and a label"
            )
        rows.append(row)
        numbers.append(number)
    if not rows:
        raise DataError(f"data.root: {path.name} must hold records, it is empty")
    where = _Lines(path.name, numbers)
    columns = list(zip(*rows, strict=True))
    blocks = [
        where.one_hot(column, name, values) if values else where.floats(column, name)
        for column, (name, values) in zip(columns, COLUMNS.items(), strict=False)
    ]
    label = [cell.removesuffix(".") for cell in columns[-1]]  # adult.test writes "<=50K."
    return np.concatenate(blocks, axis=1), where.codes(label, "the label", CLASSES)


@dataclass(frozen=True)
class _Lines:
    """Turns columns of text into numbers, and knows the line to blame."""

    file: str
    numbers: list[int]  # (n_persons,) line of each in the file

    def floats(self, column: Sequence[str], name: str) -> npt.NDArray[np.float32]:
        """(n_persons, 1) finite numbers."""
        values = np.full(len(column), np.nan)
        for row, cell in enumerate(column):
            try:
                values[row] = float(cell)
            except ValueError:
                break
        with np.errstate(over="ignore"):
            block = values.astype(np.float32)
        self._require(np.isfinite(block), f"{name} must be a finite number")
        return block[:, np.newaxis]

    def one_hot(
        self, column: Sequence[str], name: str, values: tuple[str, ...]
    ) -> npt.NDArray[np.float32]:
        """(n_persons, len(values)); a row of zeros where the value is unknown."""
        code = self.codes(column, name, (*values, UNKNOWN))
        return np.eye(len(values) + 1, len(values), dtype=np.float32)[code]

    def codes(self, column: Sequence[str], name: str, values: tuple[str, ...]) -> Ints:
        """(n_persons,) places in a closed list."""
        place = {value: index for index, value in enumerate(values)}
        code = np.array([place.get(cell, -1) for cell in column], dtype=np.int64)
        self._require(code >= 0, f"{name} must be a value that adult.names lists")
        return code

    def _require(self, good: npt.NDArray[np.bool_], rule: str) -> None:
        if not good.all():
            line = self.numbers[int(good.argmin())]
            raise DataError(f"data.root: line {line} of {self.file}: {rule}")
