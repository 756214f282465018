"""A folder of the user's own images, PNG or JPEG.

Without `labels`, `path` holds one folder for each class, and its name is the class; an empty folder
is a class that nobody here has. With `labels`, a table (CSV or Parquet) says which file has which
label; its columns are file, label and, if known, patient and hospital; files are relative to
`path`, and so is `labels` itself. Without a patient column, one distinct image is one patient.

Every image becomes `channels` x `size` x `size`; grey images fit into three channels without loss.
A name of a file may be a patient's: messages count images instead. What is decoded is bounded, see
`fedpate.data.images`.
"""

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import ClassVar

import numpy as np

from fedpate import _check
from fedpate.data.dataset import MOST_CLASSES, Dataset
from fedpate.data.files import is_file, is_folder, listed, read_table
from fedpate.data.hospitals import check_rule, without_small
from fedpate.data.images import CHANNELS, SUFFIXES, distinct_images, read_images
from fedpate.data.splits import check_fractions
from fedpate.data.tables import class_codes, column_codes
from fedpate.errors import ConfigError, DataError
from fedpate.records import Ints

COLUMNS = ("file", "label", "patient", "hospital")


@dataclass(frozen=True)
class ImageFolder:
    """Images by class folders, or by a table of labels."""

    name: ClassVar[str] = "image_folder"
    path: str
    labels: str | None = None
    size: int | None = 64
    channels: int = 3
    small_hospitals: str = "pool"
    fewest_patients: int = 1
    pool_fraction: float = 0.2
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        for field in ("path", "labels"):
            value = getattr(self, field)
            if not (isinstance(value, str) and value) and not (field == "labels" and value is None):
                raise ConfigError(f"data.{field} must be a name, got {value!r}")
        if self.size is not None:
            _check.at_least(1, **{"data.size": self.size})
        if self.channels not in CHANNELS:
            raise ConfigError(f"data.channels must be 1 (grey) or 3 (RGB), got {self.channels!r}")
        check_rule(self.small_hospitals, self.fewest_patients)
        check_fractions(self.pool_fraction, self.test_fraction)

    def load(self) -> Dataset:
        """Images by class and name of their file, or in the order of the table."""
        folder = Path(self.path).expanduser()
        if not is_folder(folder):
            raise DataError(f"data.path={self.path} must be a folder, it is a file or not there")
        records = _by_class(folder) if self.labels is None else _by_table(folder, self.labels)
        images = read_images(records.files, records.order, size=self.size, channels=self.channels)
        patients = distinct_images(images) if records.patients is None else records.patients
        dataset = Dataset(
            name=self.name,
            features=images,
            labels=records.labels,
            class_names=records.class_names,
            patients=patients,
            hospitals=records.hospitals,
            hospital_names=records.hospital_names,
            full_scale=255.0,
        )
        return without_small(
            dataset, rule=self.small_hospitals, fewest_patients=self.fewest_patients
        )


@dataclass(frozen=True, eq=False)
class _Records:
    """What is known of the images before one of them is opened."""

    files: list[Path]
    order: str  # of the files, in words
    labels: Ints  # (n_images,)
    class_names: tuple[str, ...]
    patients: Ints | None = None  # (n_images,)
    hospitals: Ints | None = None  # (n_images,)
    hospital_names: tuple[str, ...] = ()


def _by_class(folder: Path) -> _Records:
    """One folder for each class; hidden entries (.DS_Store) do not count."""
    entries = _listing(folder)
    classes = [entry for entry in entries if is_folder(entry)]
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise DataError(
            f"data.path must hold 2 to {MOST_CLASSES} folders, one for each class, "
            f"found {len(classes)}; or set data.labels"
        )
    loose = sum(entry.suffix.lower() in SUFFIXES for entry in entries)
    if loose:
        raise DataError(f"data.path must hold images in class folders only, {loose} are in none")
    members = [_listing(entry) for entry in classes]
    files = [file for names in members for file in names]
    bad = sum(file.suffix.lower() not in SUFFIXES or not is_file(file) for file in files)
    if bad or not files:
        raise DataError(
            f"data.path must hold {', '.join(SUFFIXES)} files in its class folders and nothing "
            f"else, {bad} of {len(files)} entries are not"
        )
    return _Records(
        files=files,
        order="by class and name",
        labels=np.repeat(np.arange(len(classes)), [len(names) for names in members]),
        class_names=tuple(entry.name for entry in classes),
    )


def _by_table(folder: Path, labels: str) -> _Records:
    setting = f"data.labels={labels}"
    frame = read_table(folder / labels, setting)
    strange = [name for name in frame.columns if name not in COLUMNS]
    if strange or not set(COLUMNS[:2]) <= set(frame.columns):
        raise DataError(
            f"{setting} must have the columns file and label, and may have patient and hospital, "
            f"it has {listed(list(frame.columns))}"
        )
    if frame.empty:
        raise DataError(f"{setting} must hold records, it has a header only")
    names = [str(name) for name in frame["file"]]
    inside = [_is_inside(name) and is_file(folder / name) for name in names]
    bad = len(names) - sum(inside)
    if bad or len(set(names)) < len(names):
        raise DataError(
            f"{setting} must name a {', '.join(SUFFIXES)} file inside data.path in every record, "
            f"{bad} of {len(names)} are none, {len(names) - len(set(names))} are named before"
        )
    codes_of = {
        role: column_codes(frame[role], f"{setting}: {role}")
        for role in ("patient", "hospital")
        if role in frame.columns
    }
    label, class_names = class_codes(frame["label"], f"{setting}: label")
    hospital, hospital_names = codes_of.get("hospital", (None, ()))
    return _Records(
        files=[folder / name for name in names],
        order="in the order of data.labels",
        labels=label,
        class_names=class_names,
        patients=codes_of["patient"][0] if "patient" in codes_of else None,
        hospitals=hospital,
        hospital_names=hospital_names,
    )


def _is_inside(name: str) -> bool:
    path = PurePath(name)
    return not path.is_absolute() and ".." not in path.parts and path.suffix.lower() in SUFFIXES


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        raise DataError("data.path: a folder in it cannot be listed") from None
