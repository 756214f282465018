"""`fedpate predict`: from a run directory and records of several kinds to predictions."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_runs import fedpate
from fedpate.data.preprocessing import Preprocessing
from fedpate.data.schema import Schema
from fedpate.learning.onnx_student import export
from fedpate.learning.students import TorchStudent
from fedpate.records import QueryBatch, Release
from learning_cases import DIGITS, digits

BRIEF = {"members": 1, "epochs": 60, "table_epochs": 60, "min_steps": 1, "learning_rate": 0.02}


@pytest.fixture(autouse=True)
def workplace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def of_tables(tmp_path_factory) -> Path:
    """The student of a table: class "ill" where age > 50 or the smoker says yes."""
    run = tmp_path_factory.mktemp("tables")
    rng = np.random.default_rng(0)
    smoker = rng.integers(2, size=200)
    age = rng.uniform(20, 80, 200)
    features = np.stack([age, smoker == 0, smoker == 1], axis=1).astype(np.float32)
    labels = ((age > 50) | (smoker == 1)).astype(np.int64)
    schema = Schema.of_pool(
        features,
        ["well", "ill"],
        ["age", "smoker=no", "smoker=yes"],
        missing_allowed=False,
    )
    pool, release = QueryBatch(np.arange(200), features), Release(np.arange(200), labels)
    student = TorchStudent(**BRIEF).fit(pool, release, 2, Preprocessing.fit(features), 0)
    export(student, features, schema, run / "student.onnx")
    (run / "summary.json").write_text("{}")
    return run


@pytest.fixture(scope="session")
def of_images(tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("images")
    pool = QueryBatch(np.arange(300), digits().features[:300])
    labels = Release(np.arange(300), digits().labels[:300])
    student = TorchStudent(**BRIEF, channels=(8,), max_zoom=0, max_shear=0).fit(
        pool, labels, 10, DIGITS, 0
    )
    schema = Schema(tuple(f"digit {label}" for label in range(10)))
    export(student, pool.features, schema, run / "student.onnx")
    (run / "summary.json").write_text("{}")
    return run


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_columns_are_found_by_name_and_ids_are_kept(of_tables):
    Path("new.csv").write_text(
        "id,smoker,comment,age\nanna,no,hello,25\nbert,yes,,30\ncarla,no,,75\n"
    )
    done = fedpate("predict", of_tables, "new.csv")
    assert done.code == 0, done.err
    found = rows(done.out)
    assert list(found[0]) == ["id", "label", "p_well", "p_ill"]
    assert [(row["id"], row["label"]) for row in found] == [
        *(("anna", "well"), ("bert", "ill"), ("carla", "ill"))
    ]
    assert all(abs(float(row["p_well"]) + float(row["p_ill"]) - 1) < 1e-5 for row in found)


def test_json_and_a_file_say_the_same(of_tables):
    Path("new.csv").write_text("age,smoker\n25,no\n75,no\n")
    table = rows(fedpate("predict", of_tables, "new.csv").out)
    listed = json.loads(fedpate("predict", of_tables, "new.csv", "--json").out)
    assert [one["id"] for one in listed] == ["1", "2"]
    for one, row in zip(listed, table, strict=True):
        assert one["label"] == row["label"]
        assert one["probabilities"]["ill"] == float(row["p_ill"])
    done = fedpate("predict", of_tables, "new.csv", "--out", "there/p.csv")
    assert (done.code, done.out) == (0, "")
    assert rows(Path("there/p.csv").read_text()) == table


def test_a_value_that_training_did_not_know_is_counted(of_tables, caplog):
    Path("new.csv").write_text("age,smoker\n25,sometimes\n75,no\n")
    assert fedpate("predict", of_tables, "new.csv").code == 0
    assert "column smoker: 1 of 2 records have a value" in caplog.text
    assert "sometimes" not in caplog.text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("age\n25\n", "the columns of the training; 1 of 2 are missing: smoker"),
        ("age,smoker\nold,no\n", "column age must hold numbers, it holds"),
        ("age,smoker\n,no\n30,no\n", "column age must have a value in every record, 1 of 2"),
        ("age,smoker\n1e300,no\n", "column age must be finite in float32, 1 of 1 are not"),
    ],
)
def test_records_that_do_not_fit_are_refused_in_one_line(of_tables, content, message):
    Path("new.csv").write_text(content)
    done = fedpate("predict", of_tables, "new.csv")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1


def test_images_come_from_a_folder_or_an_npz(of_images):
    asked = digits().features[300:340]
    for place, image in enumerate(asked):
        folder = Path("images") / str(place % 2)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0]).save(folder / f"{place:02}.png")
    np.savez("asked.npz", features=asked, ids=np.arange(40))
    by_file = {
        Path(row["id"]).stem: row for row in rows(fedpate("predict", of_images, "images").out)
    }
    by_array = rows(fedpate("predict", of_images, "asked.npz").out)
    assert len(by_file) == len(by_array) == 40
    for row in by_array:
        assert by_file[f"{int(row['id']):02}"] == {
            **row,
            "id": by_file[f"{int(row['id']):02}"]["id"],
        }
    answers = [
        row["label"] == f"digit {label}"
        for row, label in zip(by_array, digits().labels[300:340], strict=True)
    ]
    assert np.mean(answers) > 0.7


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: np.savez("x.npz", features=np.zeros((2, 3))), "shape (n, 1, 8, 8), got float64"),
        (lambda: np.savez("x.npz", other=np.zeros(2)), "an npz with the array `features`"),
        (lambda: Path("x.npz").write_bytes(b"PK"), "an npz with the array `features`"),
        (lambda: np.savez("x.npz", features=np.array([{}])), "an npz with the array `features`"),
        (lambda: None, "x.npz must be a file"),
    ],
)
def test_an_npz_that_does_not_fit_is_refused(of_images, make, message):
    make()
    done = fedpate("predict", of_images, "x.npz")
    assert done.code == 2
    assert message in done.err


def test_what_is_no_run_is_refused(of_tables, of_images, tmp_path):
    for arguments, message in (
        (("nowhere", "new.csv"), "RUN_DIR must be the directory of a finished run, got nowhere"),
        ((of_tables, "none.csv"), "none.csv must be a file, it is a folder or not there"),
        ((of_tables, tmp_path), "must be a table: the student was trained on tables"),
        ((of_images, tmp_path), "must hold images, there is no .png or .jpg"),
        ((of_images, "none.csv"), "none.csv must be a folder of images or an npz file"),
        ((of_tables,), "INPUT must be given"),
    ):
        done = fedpate("predict", *arguments)
        assert (done.code, done.out) == (2, "")
        assert message in done.err
    (tmp_path / "summary.json").write_text("{}")
    done = fedpate("predict", tmp_path, "new.csv")
    assert "must hold student.onnx" in done.err


def test_a_whole_run_is_asked_about_new_records():
    rng = np.random.default_rng(1)
    with Path("train.csv").open("w") as file:
        file.write("age,smoker,ill\n")
        for _ in range(90):
            age, smoker = rng.uniform(20, 80), rng.integers(2)
            file.write(f"{age:.1f},{('no', 'yes')[smoker]},{int(age > 50)}\n")
    done = fedpate(
        *("simulate", "data=csv", "data.path=train.csv", "data.label=ill", "hospitals=3"),
        *("teachers_per_hospital=2", "queries=15", "mechanism.noise_scale=0.5"),
        *("baselines=false", "hydra.run.dir=run"),
    )
    assert done.code == 0, done.err
    Path("new.csv").write_text("smoker,age\nno,22\nyes,79\n")
    done = fedpate("predict", "run", "new.csv")
    assert [row["label"] for row in rows(done.out)] == ["0", "1"]
