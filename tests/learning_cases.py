"""What the tests of `fedpate.learning` share: small shards, an identity preprocessing, digits."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
from sklearn.datasets import load_digits

from fedpate.data.preprocessing import Preprocessing
from fedpate.learning.schedule import Training
from fedpate.records import LabelledData
from fedpate.rng import stream

UNTOUCHED = Preprocessing(None, np.array(0, np.float32), np.array(1, np.float32))
DIGITS = Preprocessing(None, np.array(0, np.float32), np.array(16, np.float32))


def quick(epochs: int = 1, **changes: object) -> Training:
    """A few steps."""
    settings = {
        "epochs": epochs,
        "min_steps": 1,
        "max_steps": 1000,
        "batch_size": 16,
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        **changes,
    }
    return Training(**settings)  # type: ignore[arg-type]


@lru_cache(maxsize=1)
def digits() -> LabelledData:
    """1,797 images (1, 8, 8) uint8 in ten classes."""
    data = load_digits()
    return LabelledData(data.images.astype(np.uint8)[:, None], data.target.astype(np.int64), 10)


def digit_shards(sizes: list[int]) -> list[LabelledData]:
    """Disjoint shards of digits."""
    data, ends = digits(), np.cumsum([0, *sizes])
    return [LabelledData(data.features[a:b], data.labels[a:b], 10) for a, b in pairwise(ends)]


def table(n_records: int, n_features: int = 5, n_classes: int = 3, seed: int = 0) -> LabelledData:
    """Random float32 rows whose class depends on the first features, all classes present."""
    rng = stream(seed, "table")
    features = rng.normal(size=(n_records, n_features)).astype(np.float32)
    labels = features[:, :n_classes].argmax(axis=1).astype(np.int64)
    labels[:n_classes] = np.arange(n_classes)[:n_records]
    return LabelledData(features, labels, n_classes)
