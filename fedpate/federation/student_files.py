"""The student as files: `student.pt`, and `student.onnx` where it has such a form."""

import logging
from collections.abc import Callable
from pathlib import Path

from fedpate.data.schema import Schema
from fedpate.federation.side import Side
from fedpate.learning import onnx_student
from fedpate.learning.fitted_student import FittedStudent
from fedpate.learning.student_graphs import NoGraph

log = logging.getLogger(__name__)


def saver(side: Side, student: FittedStudent | None) -> Callable[[Path], None] | None:
    """What writes the files of a student into a folder; None without a student.

    A student without an ONNX form leaves no student.onnx, and the log says why.
    """
    if student is None:
        return None

    def save(folder: Path) -> None:
        student.save(folder / "student.pt")
        schema = side.schema or Schema.of_pool(
            side.pool.features,
            [f"class_{label}" for label in range(side.n_classes)],
            side.columns,
            missing_allowed=side.preprocessing.median is not None,
        )
        try:
            onnx_student.export(student, side.pool.features, schema, folder / "student.onnx")
        except NoGraph as reason:
            log.warning("there is no student.onnx: %s", reason)

    return save
