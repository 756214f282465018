"""Real data that ship with scikit-learn: nothing to download. One row is one patient (writer).

scikit-learn is imported when it is used: the configuration imports every source to know its fields.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fedpate.data.dataset import Dataset
from fedpate.data.splits import check_fractions


@dataclass(frozen=True)
class BreastCancer:
    """Breast Cancer Wisconsin (Diagnostic): 569 patients, 30 features, malignant or benign."""

    name: ClassVar[str] = "breast_cancer"
    pool_fraction: float = 0.2
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        check_fractions(self.pool_fraction, self.test_fraction)

    def load(self) -> Dataset:
        """The 569 records as float32."""
        from sklearn.datasets import load_breast_cancer

        raw = load_breast_cancer()
        return Dataset(
            name=self.name,
            features=raw.data.astype(np.float32),
            labels=raw.target.astype(np.int64),
            class_names=tuple(str(name) for name in raw.target_names),
            patients=np.arange(len(raw.target), dtype=np.int64),
            columns=tuple(str(name) for name in raw.feature_names),
        )


@dataclass(frozen=True)
class Digits:
    """Handwritten digits (UCI, test part): 1,797 images of 1 x 8 x 8, pixels 0 to 16."""

    name: ClassVar[str] = "digits"
    pool_fraction: float = 0.2
    test_fraction: float = 0.2

    def __post_init__(self) -> None:
        check_fractions(self.pool_fraction, self.test_fraction)

    def load(self) -> Dataset:
        """The 1,797 records as uint8 images."""
        from sklearn.datasets import load_digits

        raw = load_digits()
        return Dataset(
            name=self.name,
            features=raw.images.astype(np.uint8)[:, np.newaxis],
            labels=raw.target.astype(np.int64),
            class_names=tuple(str(digit) for digit in range(10)),
            patients=np.arange(len(raw.target), dtype=np.int64),
            full_scale=16.0,
        )
