"""Teachers of other libraries behind one face: rows in, probabilities out, bytes in the store.

A library is a module with four functions (`Library`), named in the closed list `LIBRARIES` and
imported only when a teacher of it is trained or asked. A model sees the preprocessed records as
rows, and the classes that its shard has as 0, 1, ...; its answers are widened to all classes.
"""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, cast

import numpy as np

from fedpate.data.preprocessing import Floats32, Preprocessing
from fedpate.learning.stored_format import (
    Arrays,
    as_bytes,
    split_preprocessing,
    with_preprocessing,
)
from fedpate.records import Features, Floats, Ints, LabelledData

LIBRARIES = {
    "keras": "fedpate.learning.keras_models",
    "lightgbm": "fedpate.learning.lightgbm_models",
    "xgboost": "fedpate.learning.xgboost_models",
}


class Library(Protocol):
    """How to train, ask and keep a model of one library."""

    def fit(self, settings: Any, rows: Floats32, places: Ints, seed: int) -> Any:
        """Train on (n, d) rows whose classes are 0, ..., m - 1, all of them present, m >= 2."""

    def probabilities(self, model: Any, rows: Floats32) -> Floats:
        """(n, d) -> (n, m) shares of each class, n >= 1."""

    def dump(self, model: Any) -> bytes:
        """The model in the library's own format, which holds no code."""

    def load(self, content: bytes) -> Any:
        """What `dump` wrote."""


def library(name: str) -> Library:
    """The module of a library in the closed list."""
    return cast(Library, importlib.import_module(LIBRARIES[name]))


@dataclass(frozen=True, eq=False)
class AdaptedTeacher:
    """A trained model of another library, widened to all classes."""

    suffix: ClassVar[str] = ".adapted"
    library: str  # a key of LIBRARIES
    model: Any
    classes: Ints  # (m,) the class that each of the model's columns stands for
    preprocessing: Preprocessing
    n_classes: int

    def votes(self, features: Features) -> Ints:
        """The class of the largest probability, the first of equal ones."""
        votes: Ints = self.probabilities(features).argmax(axis=1)
        return votes

    def probabilities(self, features: Features) -> Floats:
        """The model's own, made to sum to one in float64."""
        table = np.zeros((len(features), self.n_classes))
        if len(features):  # not every library can predict nothing
            rows = self.preprocessing.apply(features).reshape(len(features), -1)
            shares = library(self.library).probabilities(self.model, rows).astype(np.float64)
            table[:, self.classes] = shares / shares.sum(axis=1, keepdims=True)
        return table

    def to_file(self) -> tuple[Any, Arrays]:
        """The library's own bytes, the classes, the preprocessing."""
        content = library(self.library).dump(self.model)
        arrays = {"model": as_bytes(content), "classes": self.classes}
        header = {"library": self.library, "n_classes": self.n_classes}
        return header, with_preprocessing(self.preprocessing, arrays)

    @classmethod
    def from_file(cls, header: Any, arrays: Arrays) -> Self:
        """Read what `to_file` gave."""
        preprocessing, own = split_preprocessing(arrays)
        name, n_classes = header["library"], header["n_classes"]
        model = library(name).load(own["model"].tobytes())
        return cls(name, model, own["classes"], preprocessing, n_classes)


def fit_all(
    name: str,
    settings: Any,
    shards: Sequence[LabelledData],
    preprocessing: Preprocessing,
    seeds: Sequence[int],
    finished: Callable[[int, AdaptedTeacher], None],
) -> None:
    """One model per shard; `finished` gets each with its place in `shards`.

    Args:
      name: a key of LIBRARIES.
      settings: the teacher's settings class, whose fields the library's `fit` reads.
      shards: two classes or more in each.
      preprocessing: applied here, and kept in the result.
      seeds: one per shard.
      finished: called in this thread.
    """
    for index, (shard, seed) in enumerate(zip(shards, seeds, strict=True)):
        rows = preprocessing.apply(shard.features).reshape(len(shard), -1)
        classes, places = np.unique(shard.labels, return_inverse=True)
        model = library(name).fit(settings, rows, places.astype(np.int64), seed)
        finished(index, AdaptedTeacher(name, model, classes, preprocessing, shard.n_classes))
