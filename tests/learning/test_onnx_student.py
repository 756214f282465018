import os
import subprocess
import sys

import numpy as np
import onnx
import pytest

from fedpate.data.preprocessing import Preprocessing
from fedpate.data.schema import Column, Schema
from fedpate.errors import DataError
from fedpate.learning import onnx_student
from fedpate.learning.fitted_student import ConstantStudent
from fedpate.learning.onnx_student import OnnxStudent, export
from fedpate.learning.student_graphs import NoGraph
from fedpate.learning.students import FixMatchStudent, SklearnStudent, TorchStudent
from fedpate.records import QueryBatch, Release
from fedpate.rng import stream
from learning_cases import DIGITS, UNTOUCHED, digits, table

BRIEF = {"epochs": 2, "min_steps": 1, "max_steps": 9}
STUDENTS = [
    TorchStudent(members=3, channels=(4, 8), hidden=(8,), **BRIEF),
    FixMatchStudent(members=1, channels=(4,), steps=3, table_steps=3),
    SklearnStudent("logistic_regression"),
]
# Not for images: scikit-learn's float32 is too coarse for pixels that are always 0.
FOR_ROWS = [*STUDENTS, SklearnStudent("gaussian_nb")]


def name(student: object) -> str:
    return getattr(student, "model", student.name)


def gaps(share: float) -> np.ndarray:
    """90 rows of 5 features, some of them missing."""
    features = table(90).features.copy()
    features[stream(3).random(features.shape) < share] = np.nan
    return features


def schema(n_classes: int) -> Schema:
    return Schema(tuple(f"class {label}" for label in range(n_classes)))


@pytest.mark.parametrize("student", STUDENTS, ids=name)
def test_the_file_answers_as_the_student_on_images(student, tmp_path):
    pool = QueryBatch(np.arange(150), digits().features[:150])
    fitted = student.fit(pool, Release(np.arange(100), digits().labels[:100]), 10, DIGITS, 0)
    export(fitted, pool.features, schema(10), tmp_path / "student.onnx")
    loaded = OnnxStudent.load(tmp_path / "student.onnx")
    asked = digits().features[1000:1100]
    assert loaded.record_shape == (1, 8, 8)
    assert np.allclose(loaded.predict(asked), fitted.predict(asked), atol=1e-5)


@pytest.mark.parametrize("student", FOR_ROWS, ids=name)
@pytest.mark.parametrize("n_classes", [2, 4])  # of 4, two have no label
def test_the_file_answers_as_the_student_on_rows_with_gaps(student, n_classes, tmp_path):
    features = gaps(0.2)
    preprocessing = Preprocessing.fit(features, missing_allowed=True)
    release = Release(np.arange(60), table(90).labels[:60] % 2)
    fitted = student.fit(QueryBatch(np.arange(90), features), release, n_classes, preprocessing, 0)
    export(fitted, features, schema(n_classes), tmp_path / "student.onnx")
    loaded = OnnxStudent.load(tmp_path / "student.onnx")
    answers = loaded.predict(features)
    assert answers.shape == (90, n_classes)
    assert np.allclose(answers, fitted.predict(features), atol=1e-5)
    assert loaded.predict(features[:0]).shape == (0, n_classes)


def test_a_constant_student_is_a_file_too(tmp_path):
    export(ConstantStudent(2, 3), gaps(0.0), schema(3), tmp_path / "student.onnx")
    answers = OnnxStudent.load(tmp_path / "student.onnx").predict(gaps(0.0))
    assert np.array_equal(answers, np.tile([0.0, 0.0, 1.0], (90, 1)))


def test_the_file_is_one_and_says_what_the_records_are(tmp_path):
    asked = Schema(("no", "yes"), (Column("age"), Column("sex", ("f", None))), True)
    export(ConstantStudent(0, 2), gaps(0.0)[:, :3], asked, tmp_path / "student.onnx")
    assert [file.name for file in tmp_path.iterdir()] == ["student.onnx"]
    onnx.checker.check_model(tmp_path / "student.onnx", full_check=True)
    assert OnnxStudent.load(tmp_path / "student.onnx").schema == asked


def test_a_student_without_a_graph_says_so_and_leaves_nothing(tmp_path):
    shard = table(60)
    fitted = SklearnStudent("knn").fit(
        QueryBatch(np.arange(60), shard.features),
        Release(np.arange(60), shard.labels),
        3,
        UNTOUCHED,
        0,
    )
    with pytest.raises(NoGraph, match=r"student\.model=knn has no ONNX form"):
        export(fitted, shard.features, schema(3), tmp_path / "student.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_that_answers_otherwise_is_not_left(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_student, "TOLERANCE", -1.0)  # nothing is as equal as that
    with pytest.raises(NoGraph, match="does not answer as the student"):
        export(ConstantStudent(0, 2), gaps(0.0), schema(2), tmp_path / "student.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"nothing like it"])
def test_something_else_is_refused(content, tmp_path):
    (tmp_path / "student.onnx").write_bytes(content)
    with pytest.raises(DataError, match=r"must be a student\.onnx of fedpate"):
        OnnxStudent.load(tmp_path / "student.onnx")


def test_records_of_another_shape_are_refused(tmp_path):
    export(ConstantStudent(0, 2), gaps(0.0), schema(2), tmp_path / "student.onnx")
    with pytest.raises(DataError, match=r"must have shape \(5,\), got \(4,\)"):
        OnnxStudent.load(tmp_path / "student.onnx").predict(gaps(0.0)[:, :4])


def test_onnxruntime_reports_nothing(tmp_path):
    unset = ("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "CI", "XDG_CACHE_HOME")
    environment = {key: value for key, value in os.environ.items() if key not in unset}
    command = [sys.executable, "-c", "import fedpate.learning.onnx_student"]
    subprocess.run(command, check=True, env={**environment, "HOME": str(tmp_path)})
    assert not list(tmp_path.iterdir())  # no device id, no store of reports
