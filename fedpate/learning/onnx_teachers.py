"""A model that a hospital has already, as an ONNX file: it votes and is never trained here.

The model gets the records as the hospital's data have them, in the shape and type that its input
declares: scaling belongs into the model. One input; the output looked at is the first that has one
number per class, or else the first with one class per record. For soft votes these numbers must be
probabilities: logits need a Softmax at the end of the model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from fedpate.errors import DataError
from fedpate.learning.fitted import one_hot
from fedpate.learning.onnx_runtime import onnxruntime
from fedpate.learning.stored_format import Arrays, as_bytes
from fedpate.records import Features, Floats, Ints

ROWS_AT_ONCE = 256
TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
}
SUM_ERROR = 1e-3  # how far a row of float16 or float32 probabilities may be from one


@dataclass(frozen=True, eq=False)
class OnnxTeacher:
    """One model; `content` is the file, which must hold its weights itself."""

    suffix: ClassVar[str] = ".onnx"
    content: bytes
    n_classes: int
    _session: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(
                self.content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own types are not public
            raise DataError("models.onnx must be a whole ONNX model, weights included") from error
        inputs = session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in TYPES:
            raise DataError(
                "models.onnx must have one input of float or uint8 numbers, "
                f"got {[one.type for one in inputs]}"
            )
        object.__setattr__(self, "_session", session)

    def votes(self, features: Features) -> Ints:
        """Arg max of the scores, the first of equal ones; or the model's own classes."""
        return np.concatenate(
            [scores.argmax(axis=1) for scores in self._scores(features)] or [np.zeros(0, np.int64)]
        ).astype(np.int64)

    def probabilities(self, features: Features) -> Floats:
        """The model's own, made to sum to one in float64; 1 for its class where it has none.

        Raises:
          DataError: its numbers are no probabilities.
        """
        tables = [_on_simplex(scores) for scores in self._scores(features)]
        return np.concatenate([*tables, np.zeros((0, self.n_classes))])

    def to_file(self) -> tuple[Any, Arrays]:
        """The ONNX file, and the number of classes."""
        return self.n_classes, {"model": as_bytes(self.content)}

    @classmethod
    def from_file(cls, header: Any, arrays: Arrays) -> Self:
        """Read what `to_file` gave."""
        return cls(arrays["model"].tobytes(), header)

    def _scores(self, features: Features) -> list[Floats]:
        """(n, n_classes) in parts."""
        (entry,) = self._session.get_inputs()
        fixed = entry.shape[0] if isinstance(entry.shape[0], int) else None
        step, found = fixed or ROWS_AT_ONCE, []
        for at in range(0, len(features), step):
            part = features[at : at + step]
            missing = fixed - len(part) if fixed else 0
            whole = np.concatenate([part, np.repeat(part[-1:], missing, axis=0)])
            outputs = self._session.run(None, {entry.name: _shaped(whole, entry)})
            found.append(_per_class(outputs, len(whole), self.n_classes)[: len(part)])
        return found


def _shaped(features: Features, entry: Any) -> npt.NDArray[Any]:
    """Records in the rank that the input declares: rows, or images with a channel axis."""
    records = features.astype(TYPES[entry.type])
    if len(entry.shape) == 2:
        return records.reshape(len(records), -1)
    if len(entry.shape) == 4 and records.ndim == 3:
        return records[:, None]
    return records


def _per_class(outputs: Sequence[Any], n: int, n_classes: int) -> Floats:
    """(n, n_classes) from the outputs of one call.

    Raises:
      DataError: no output has one number per class, or one class per record.
    """
    arrays = [output for output in outputs if isinstance(output, np.ndarray)]
    for array in arrays:
        if array.shape == (n, n_classes) and array.dtype.kind == "f":
            if not np.isfinite(array).all():
                raise DataError("models.onnx must give finite scores")
            return array.astype(np.float64)
    for array in arrays:
        if array.shape == (n,) and array.dtype.kind in "iu":
            if ((array < 0) | (array >= n_classes)).any():
                raise DataError(f"models.onnx must give classes in [0, {n_classes})")
            return one_hot(array.astype(np.int64), n_classes)
    raise DataError(
        f"models.onnx must give {n_classes} scores, or one class, for each record; "
        f"its outputs have shapes {[array.shape[1:] for array in arrays]}"
    )


def _on_simplex(scores: Floats) -> Floats:
    sums = scores.sum(axis=1, keepdims=True)
    if not ((scores >= 0).all() and (np.abs(sums - 1) <= SUM_ERROR).all()):
        raise DataError(
            "models.onnx must give probabilities for votes=probabilities: end it with a Softmax"
        )
    shares: Floats = scores / sums
    return shares
