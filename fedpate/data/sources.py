"""The closed list of data sets: a configuration or a message can name nothing else.

A new source is one module with a frozen dataclass (`fedpate.data.dataset.Source`) and one line.
"""

from functools import lru_cache

from fedpate.data.adult import Adult
from fedpate.data.dataset import Dataset, Source
from fedpate.data.eicu import Eicu
from fedpate.data.heart import HeartDisease
from fedpate.data.image_folder import ImageFolder
from fedpate.data.medmnist_sets import MEDMNIST
from fedpate.data.sklearn_sources import BreastCancer, Digits
from fedpate.data.tables import Csv
from fedpate.data.vision import FashionMnist, Mnist

SOURCES: dict[str, type[Source]] = {
    source.name: source
    for source in (
        BreastCancer,
        Digits,
        Mnist,
        FashionMnist,
        *MEDMNIST,
        HeartDisease,
        Eicu,
        Adult,
        Csv,
        ImageFolder,
    )
}


@lru_cache(maxsize=2)
def load_cached(source: Source) -> Dataset:
    """`source.load()`, once per process and settings: 250 simulated hospitals share one copy."""
    return source.load()
