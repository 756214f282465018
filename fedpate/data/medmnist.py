"""MedMNIST v2: biomedical images of 28 x 28; the sets are in `fedpate.data.medmnist_sets`.

`data.root` holds `NAME.npz` as medmnist.com publishes it (Yang et al. 2023, Scientific Data 10:41;
CC BY 4.0, DermaMNIST CC BY-NC 4.0). The file is read here rather than by the medmnist package,
which weighs 231 MB and insists on the official number of rows.

The split: the official test images are the test set and stay untouched. The official validation
images are public, and so is the share `data.pool_fraction` of the training images, or the
coordinator of BreastMNIST would have 78 images to ask about; the other training images are private.
Which training images are public follows the hash of their pixels, for every seed alike.

The files name no patients, so one distinct image is one patient, and epsilon per patient is epsilon
per image: a person with two X-rays (or a CT scan with many slices, in the organ sets) has several.
Copies of an image are one patient; where it occurs in two parts, the copies in the less public one
are left out (10 of the 4,708 training images of one rebuilt PneumoniaMNIST).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from fedpate.data.dataset import Dataset
from fedpate.data.files import is_file
from fedpate.data.images import distinct_images
from fedpate.data.npz import Integers, read_arrays
from fedpate.errors import ConfigError, DataError
from fedpate.records import Ints

PARTS = ("train", "val", "test")  # from private to public
SIDE = 28


@dataclass(frozen=True)
class MedMnist:
    """What the sets of the collection have in common; each adds what tells it apart."""

    name: ClassVar[str]
    class_names: ClassVar[tuple[str, ...]]
    channels: ClassVar[int] = 1
    root: str = "data"
    pool_fraction: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.pool_fraction < 1:
            raise ConfigError(f"data.pool_fraction must be in [0, 1), got {self.pool_fraction!r}")

    def load(self) -> Dataset:
        """Training, validation and test images, in the order of the file."""
        what = f"data.root={self.root}: {self.name}.npz"
        path = Path(self.root).expanduser() / f"{self.name}.npz"
        if not is_file(path):
            raise DataError(
                f"data.root={self.root} must hold {self.name}.npz (MedMNIST, {SIDE} x {SIDE}, "
                "from medmnist.com)"
            )
        names = [f"{part}_{kind}" for part in PARTS for kind in ("images", "labels")]
        arrays = read_arrays(path, names, what)
        for part in PARTS:
            self._check(arrays[f"{part}_images"], arrays[f"{part}_labels"], f"{what}: {part}")
        labels = [arrays[f"{part}_labels"].reshape(-1) for part in PARTS]
        images = np.concatenate([arrays[f"{part}_images"] for part in PARTS], dtype=np.uint8)
        images = images.reshape(len(images), SIDE, SIDE, self.channels).transpose(0, 3, 1, 2)
        images = np.ascontiguousarray(images)
        patients = distinct_images(images)
        parts = np.repeat(range(len(PARTS)), list(map(len, labels)))
        kept = _most_public_copies(patients, parts)
        patients, parts = patients[kept], parts[kept]
        return Dataset(
            name=self.name,
            features=images[kept],
            labels=np.concatenate(labels, dtype=np.int64, casting="unsafe")[kept],
            class_names=self.class_names,
            patients=patients,
            full_scale=255.0,
            fixed_split=(_pool(patients, parts, self.pool_fraction), np.flatnonzero(parts == 2)),
        )

    def _check(self, images: Integers, labels: Integers, what: str) -> None:
        n = len(labels) if labels.ndim else 0
        shape = (n, SIDE, SIDE) if self.channels == 1 else (n, SIDE, SIDE, self.channels)
        if images.dtype != np.uint8 or images.shape != shape or not n:
            raise DataError(
                f"{what} must hold uint8 images of shape (n, {', '.join(map(str, shape[1:]))}), "
                f"got {images.dtype} {images.shape} for {n} labels"
            )
        if labels.shape not in ((n,), (n, 1)):
            raise DataError(f"{what} must hold one label for each image, got {labels.shape}")
        bad = int(((labels < 0) | (labels >= len(self.class_names))).sum())
        if bad:
            raise DataError(
                f"{what} must hold labels in [0, {len(self.class_names)}), {bad} of {n} are not"
            )


def _most_public_copies(patients: Ints, parts: Ints) -> npt.NDArray[np.bool_]:
    """(n_records,) whether no more public part has a copy of the image."""
    most = np.zeros(patients.max() + 1, dtype=np.int64)
    np.maximum.at(most, patients, parts)
    return np.equal(parts, most[patients])


def _pool(patients: Ints, parts: Ints, fraction: float) -> Ints:
    """The rows of the validation images, then those of the public share of the training images."""
    private = np.unique(patients[parts == 0])  # in the order of the hash
    public = private[: math.ceil(round(fraction * len(private), 9))]
    moved = (parts == 0) & np.isin(patients, public)
    return np.concatenate([np.flatnonzero(parts == 1), np.flatnonzero(moved)])
