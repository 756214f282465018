"""Trained students: probabilities for records, and a file that loads without running code.

`student.pt` is read by `torch.load(..., weights_only=True)`: tensors, numbers and text, and no
pickled object. It holds the preprocessing too, so it takes records as the data set has them.
"""

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import torch

from fedpate.data.preprocessing import Preprocessing
from fedpate.errors import DataError
from fedpate.learning.fitted import TorchTeacher, one_hot
from fedpate.learning.nets import Net
from fedpate.learning.sklearn_teachers import SklearnClassifier, fit_sklearn
from fedpate.records import Features, Floats, LabelledData

FORMAT = 1
UNREADABLE = (
    KeyError,
    TypeError,
    ValueError,
    RuntimeError,
    EOFError,
    OSError,
    pickle.UnpicklingError,
)


@runtime_checkable
class FittedStudent(Protocol):
    """A trained student."""

    @property
    def n_classes(self) -> int:
        """Number of classes of the federation."""

    def predict(self, features: Features) -> Floats:
        """(n, ...) records -> (n, n_classes) float64 probabilities."""

    def save(self, path: Path) -> None:
        """Write `student.pt`; `load_student` reads it."""


@dataclass(frozen=True)
class ConstantStudent:
    """What a release with a single class teaches."""

    label: int
    n_classes: int

    def predict(self, features: Features) -> Floats:
        """All mass on the one class."""
        return one_hot(np.full(len(features), self.label, np.int64), self.n_classes)

    def save(self, path: Path) -> None:
        """Write the label."""
        settings = {"label": self.label, "n_classes": self.n_classes}
        _write({"format": FORMAT, "kind": "constant", "settings": settings}, path)


@dataclass(frozen=True, eq=False)
class NetStudent:
    """Networks of one architecture whose probabilities are averaged."""

    members: Sequence[TorchTeacher]

    @property
    def n_classes(self) -> int:
        """Of the networks."""
        return self.members[0].n_classes

    def predict(self, features: Features) -> Floats:
        """Mean over the members."""
        tables = [member.probabilities(features) for member in self.members]
        mean: Floats = np.mean(tables, axis=0)
        return mean

    def save(self, path: Path) -> None:
        """Write the state dict ("MEMBER.LAYER.weight"), the architecture and the preprocessing."""
        first = self.members[0]
        state = {
            f"{index}.{name}": value
            for index, member in enumerate(self.members)
            for name, value in member.params.items()
        }
        content = {
            "format": FORMAT,
            "kind": "torch",
            "settings": {"members": len(self.members), "net": first.net.to_dict()},
            "state_dict": state,
            "preprocessing": _tensors(first.preprocessing.to_arrays()),
        }
        _write(content, path)

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """Read what `save` wrote."""
        net = Net.from_dict(content["settings"]["net"])
        preprocessing = _preprocessing(content)
        state = content["state_dict"]
        return cls(
            [
                TorchTeacher(
                    net, {name: state[f"{index}.{name}"] for name in net.shapes()}, preprocessing
                )
                for index in range(content["settings"]["members"])
            ]
        )


@dataclass(frozen=True, eq=False)
class ClassifierStudent:
    """A scikit-learn classifier, kept as the released records that it is fitted on.

    A pickled classifier would run code when it is loaded; the records are the coordinator's own and
    the labels are released, so the file keeps those, and loading fits again with the same seed.
    """

    model: str
    answered: LabelledData
    seed: int
    regularization: float
    classifier: SklearnClassifier

    @classmethod
    def fit(
        cls,
        model: str,
        answered: LabelledData,
        preprocessing: Preprocessing,
        seed: int,
        regularization: float = 1.0,
    ) -> Self:
        """Fit one classifier of the closed list."""
        classifier = fit_sklearn(
            model, answered, preprocessing, seed, regularization=regularization
        )
        return cls(model, answered, seed, regularization, classifier)

    @property
    def n_classes(self) -> int:
        """Of the federation."""
        return self.answered.n_classes

    def predict(self, features: Features) -> Floats:
        """The classifier's probabilities."""
        return self.classifier.probabilities(features)

    def save(self, path: Path) -> None:
        """Write the released records, their labels and the settings."""
        content = {
            "format": FORMAT,
            "kind": "sklearn",
            "settings": {
                "model": self.model,
                "seed": str(self.seed),
                "regularization": self.regularization,
                "n_classes": self.n_classes,
            },
            "features": torch.from_numpy(np.array(self.answered.features)),
            "labels": torch.from_numpy(np.array(self.answered.labels)),
            "preprocessing": _tensors(self.classifier.preprocessing.to_arrays()),
        }
        _write(content, path)

    @classmethod
    def from_content(cls, content: dict[str, Any]) -> Self:
        """Fit again on what `save` wrote."""
        settings = content["settings"]
        answered = LabelledData(
            content["features"].numpy(), content["labels"].numpy(), settings["n_classes"]
        )
        return cls.fit(
            settings["model"],
            answered,
            _preprocessing(content),
            int(settings["seed"]),
            settings["regularization"],
        )


def load_student(path: Path) -> FittedStudent:
    """Read a `student.pt`; runs no code from the file.

    Raises:
      DataError: not a student, or of a format that this version does not know.
    """
    try:
        content = torch.load(path, weights_only=True)
        if content["format"] == FORMAT:
            match content["kind"]:
                case "constant":
                    return ConstantStudent(**content["settings"])
                case "torch":
                    return NetStudent.from_content(content)
                case "sklearn":
                    return ClassifierStudent.from_content(content)
    except UNREADABLE as error:
        raise DataError(f"{path} must be a student.pt of fedpate, it cannot be read") from error
    raise DataError(f"{path} must be a student.pt of format {FORMAT}, got another one")


def _write(content: dict[str, Any], path: Path) -> None:
    """One file; torch itself would hide behind an assertion of its own that a disk is full."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    path.write_bytes(buffer.getbuffer())


def _tensors(arrays: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}


def _preprocessing(content: dict[str, Any]) -> Preprocessing:
    return Preprocessing.from_arrays(
        {name: value.numpy() for name, value in content["preprocessing"].items()}
    )
