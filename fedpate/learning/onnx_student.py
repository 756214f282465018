"""`student.onnx`: the student in one file that any ONNX runtime can ask.

Its input is records as the data set has them, in float32; its output is probabilities. What the
columns and classes are called is in the model's metadata, under `fedpate.schema`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import fedpate
from fedpate.data.schema import Schema
from fedpate.errors import DataError
from fedpate.learning import student_graphs
from fedpate.learning.fitted_student import FittedStudent
from fedpate.learning.onnx_graph import INPUT, OUTPUT
from fedpate.learning.onnx_runtime import onnxruntime
from fedpate.records import Features, Floats

SCHEMA_KEY = "fedpate.schema"
CHECKED = 256  # records of the pool on which the file is held against the student
TOLERANCE = 1e-4  # of a probability: sums of float32 products in another order
ROWS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class OnnxStudent:
    """A student.onnx, loaded; no code of the file runs but ONNX's own operators."""

    schema: Schema
    record_shape: tuple[int, ...]  # of one record
    _session: Any = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> "OnnxStudent":
        """Read what `export` wrote.

        Raises:
          DataError: not a student.onnx of fedpate.
        """
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4  # what is wrong is told below
        try:
            session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
            metadata = session.get_modelmeta().custom_metadata_map
            schema = Schema.from_json(metadata[SCHEMA_KEY])
            (entry,) = session.get_inputs()
            return cls(schema, tuple(int(side) for side in entry.shape[1:]), session)
        except Exception as error:  # onnxruntime's own types are not public
            raise DataError(
                f"{path} must be a student.onnx of fedpate, it cannot be read"
            ) from error

    def predict(self, features: Features) -> Floats:
        """(n, *record_shape) records -> (n, n_classes) float64 probabilities.

        Raises:
          DataError: records of another shape.
        """
        if features.shape[1:] != self.record_shape:
            raise DataError(
                f"records must have shape {self.record_shape}, got {features.shape[1:]}"
            )
        tables = [np.zeros((0, len(self.schema.class_names)), np.float32)]
        for at in range(0, len(features), ROWS_AT_ONCE):
            part = features[at : at + ROWS_AT_ONCE].astype(np.float32)
            tables += self._session.run([OUTPUT], {INPUT: part})
        return np.concatenate(tables).astype(np.float64)


def export(student: FittedStudent, pool: Features, schema: Schema, path: Path) -> None:
    """Write `student.onnx` and hold what it answers against the student.

    Args:
      student: a trained one.
      pool: (n, ...) records of the public pool; some of them are the check.
      schema: of the pool.
      path: where to.

    Raises:
      NoGraph: this student has no ONNX form, or the file does not answer as the student does; then
        there is no file.
    """
    model = student_graphs.build(student, pool.shape[1:])
    for key, value in (("fedpate", fedpate.__version__), (SCHEMA_KEY, schema.to_json())):
        model.metadata_props.add(key=key, value=value)
    path.write_bytes(model.SerializeToString(deterministic=True))
    some = pool[:: max(1, len(pool) // CHECKED)][:CHECKED]
    gap = np.inf
    try:
        gap = np.abs(OnnxStudent.load(path).predict(some) - student.predict(some)).max()
    except DataError as error:
        raise student_graphs.NoGraph(str(error)) from error
    finally:
        if not gap <= TOLERANCE:
            path.unlink()
    if not gap <= TOLERANCE:
        raise student_graphs.NoGraph(f"it does not answer as the student, it is off by {gap:g}")
