import os

import numpy as np
import pytest
import torch

from fedpate.errors import DataError
from fedpate.learning.fitted_student import (
    ClassifierStudent,
    ConstantStudent,
    FittedStudent,
    NetStudent,
    load_student,
)
from fedpate.learning.students import SklearnStudent, TorchStudent
from fedpate.records import QueryBatch, Release
from learning_cases import DIGITS, UNTOUCHED, digits, table

QUICK = {"channels": (4,), "hidden": (), "epochs": 1, "min_steps": 5}


def fit(student, data, preprocessing) -> FittedStudent:
    ids = np.arange(60)
    return student.fit(
        QueryBatch(ids, data.features[:60]),
        Release(ids, data.labels[:60]),
        data.n_classes,
        preprocessing,
        seed=2**70,
    )


@pytest.mark.parametrize(
    "fitted",
    [
        fit(TorchStudent(members=2, **QUICK), digits(), DIGITS),
        fit(TorchStudent(members=1, **QUICK), table(60), UNTOUCHED),
        fit(SklearnStudent("random_forest"), digits(), DIGITS),
        fit(SklearnStudent(regularization=50), digits(), DIGITS),
        ConstantStudent(3, 10),
    ],
    ids=["images", "table", "sklearn", "regularized", "constant"],
)
def test_a_student_survives_its_file(fitted, tmp_path):
    path = tmp_path / "student.pt"
    fitted.save(path)
    asked = (digits() if fitted.n_classes == 10 else table(60)).features[-60:]
    again = load_student(path)
    assert type(again) is type(fitted)
    assert again.n_classes == fitted.n_classes
    assert np.array_equal(again.predict(asked), fitted.predict(asked))


def test_the_file_is_a_state_dict_and_settings_and_loads_without_code(tmp_path):
    fitted = fit(TorchStudent(members=2, **QUICK), digits(), DIGITS)
    assert isinstance(fitted, NetStudent)
    fitted.save(tmp_path / "student.pt")
    content = torch.load(tmp_path / "student.pt", weights_only=True)
    assert set(content) == {"format", "kind", "settings", "state_dict", "preprocessing"}
    module = torch.nn.ModuleList([member.net.module() for member in fitted.members])
    module.load_state_dict(content["state_dict"], assign=True)  # strict: every name fits
    images = torch.from_numpy(digits().features[:50].astype(np.float32) / 16)
    shares = torch.stack([torch.softmax(member(images), dim=1) for member in module]).mean(dim=0)
    assert np.allclose(shares.detach(), fitted.predict(digits().features[:50]), atol=1e-5)


def test_a_classifiers_file_holds_no_pickled_object(tmp_path):
    fitted = fit(SklearnStudent("knn"), table(60), UNTOUCHED)
    assert isinstance(fitted, ClassifierStudent)
    fitted.save(tmp_path / "student.pt")
    content = torch.load(tmp_path / "student.pt", weights_only=True)  # refuses other classes
    assert content["settings"] == {
        "model": "knn",
        "seed": str(fitted.seed),
        "regularization": 1.0,
        "n_classes": 3,
    }
    assert np.array_equal(content["labels"], table(60).labels)


class Harmful:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("harmed",)


@pytest.mark.parametrize("harm", ["pickle", "cut", "text", "format", "kind", "absent"])
def test_a_file_that_is_no_student_is_refused_and_runs_nothing(harm, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "student.pt"
    ConstantStudent(1, 2).save(path)
    match harm:
        case "pickle":
            torch.save({"format": 1, "kind": Harmful()}, path)
        case "cut":
            path.write_bytes(path.read_bytes()[:-30])
        case "text":
            path.write_text("no student")
        case "format":
            torch.save({"format": 2, "kind": "constant", "settings": {}}, path)
        case "kind":
            torch.save({"format": 1, "kind": "other", "settings": {}}, path)
        case "absent":
            path.unlink()
    with pytest.raises(DataError, match=r"student\.pt must be a student"):
        load_student(path)
    assert not (tmp_path / "harmed").exists()
