"""Images through torchvision: `data.root` holds the files as torchvision lays them out.

The split is the one of the PATE papers: the 60,000 training images are private, the first 9,000
test images are the public pool (so query i is test image i) and the last 1,000 are the test set.
torchvision is imported when it is used: the configuration imports every source to know its fields.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fedpate.data.dataset import Dataset
from fedpate.data.files import is_file
from fedpate.errors import DataError

N_TRAIN, N_TEST, N_POOL = 60_000, 10_000, 9_000


@dataclass(frozen=True)
class Mnist:
    """MNIST: 70,000 images of 1 x 28 x 28, ten digits. One image is one patient."""

    name: ClassVar[str] = "mnist"
    root: str = "data"
    download: bool = False

    def load(self) -> Dataset:
        """The training images, then the test images."""
        from torchvision.datasets import MNIST

        return _load(self.name, MNIST, self.root, self.download)


@dataclass(frozen=True)
class FashionMnist:
    """Fashion-MNIST: as MNIST, with ten kinds of clothing."""

    name: ClassVar[str] = "fashion_mnist"
    root: str = "data"
    download: bool = False

    def load(self) -> Dataset:
        """The training images, then the test images."""
        from torchvision.datasets import FashionMNIST

        return _load(self.name, FashionMNIST, self.root, self.download)


def _load(name: str, reader: Any, root: str, download: bool) -> Dataset:
    folder = Path(root).expanduser()
    raw = folder / reader.__name__ / "raw"
    files = [raw / Path(archive).stem for archive, _ in reader.resources]
    missing = [file.name for file in files if not is_file(file)]
    if missing and not download:
        raise DataError(
            f"data.root={root} must hold {reader.__name__}/raw/ with {', '.join(missing)}: "
            "set data.root to where the files are, or data.download=true"
        )
    try:
        parts = [reader(folder, train=train, download=download) for train in (True, False)]
    # What torchvision raises for a file that is not an IDX file, and for a failed download.
    except (RuntimeError, AssertionError, KeyError, ValueError, OSError) as error:
        reason = "could not be downloaded" if missing else "holds files that cannot be read"
        raise DataError(
            f"data.root={root}: {name} {reason} ({type(error).__name__}); "
            "check the connection, or delete the folder and set data.download=true"
        ) from error
    shapes = [tuple(part.data.shape) for part in parts]
    if shapes != [(N_TRAIN, 28, 28), (N_TEST, 28, 28)]:
        raise DataError(
            f"data.root={root}: {name} must be {N_TRAIN} and {N_TEST} images of 28 x 28, "
            f"got {shapes}"
        )
    labels = np.concatenate([part.targets.numpy() for part in parts]).astype(np.int64)
    return Dataset(
        name=name,
        features=np.concatenate([part.data.numpy() for part in parts])[:, np.newaxis],
        labels=labels,
        class_names=tuple(reader.classes),
        patients=np.arange(N_TRAIN + N_TEST, dtype=np.int64),
        full_scale=255.0,
        fixed_split=(
            np.arange(N_TRAIN, N_TRAIN + N_POOL, dtype=np.int64),
            np.arange(N_TRAIN + N_POOL, N_TRAIN + N_TEST, dtype=np.int64),
        ),
    )
