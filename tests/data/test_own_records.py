"""A hospital's own records: coded as its federation codes them, refused without quoting a cell."""

import numpy as np
import pytest

from fedpate.data import heart
from fedpate.data.dealing import own_stream, patient_shards
from fedpate.data.federated import federate
from fedpate.data.layout import lay_out
from fedpate.data.own_records import OwnData, load
from fedpate.data.partition import PARTITIONS
from fedpate.data.sources import SOURCES
from fedpate.errors import ConfigError, DataError

CSV = "who,age,ill,score\na,50,no,1.5\nb,60,yes,\na,51,no,3\n"


def table(tmp_path, text, name="records.csv", **settings):
    (tmp_path / name).write_text(text)
    return OwnData(str(tmp_path / name), **settings)


def test_a_table_is_coded_by_the_classes_of_the_federation_and_not_by_those_it_has(tmp_path):
    settings = {"label": "ill", "patient": "who", "missing": True}
    records = load(table(tmp_path, CSV, classes=("maybe", "yes", "no"), **settings))
    assert records.labels.tolist() == [2, 1, 2]
    assert records.n_classes == 3
    assert records.columns == ("age", "score")
    assert (records.n_patients, records.patients.tolist()) == (2, [0, 1, 0])
    np.testing.assert_array_equal(records.features[:, 1], np.float32([1.5, np.nan, 3]))
    assert load(table(tmp_path, CSV, name="b.csv", **settings)).class_names == ("no", "yes")


def test_a_hospital_may_have_one_class_only(tmp_path):
    one = load(table(tmp_path, "x,label\n1,0\n2,0\n", classes=("0", "1")))
    assert (one.n_classes, one.labels.tolist()) == (2, [0, 0])


@pytest.mark.parametrize(
    ("text", "settings", "words"),
    [
        (CSV, {"label": "ill"}, "must hold numbers, columns with others: who"),
        (CSV, {"label": "sick"}, "data.label=sick is no column of --data; it has who, age"),
        (CSV, {"label": "ill", "patient": "who"}, "feature score must be finite"),
        (CSV, {"label": "ill", "classes": ("yes", "never")}, "2 of 3 records have others"),
        ("x,label\n", {}, "a header only"),
        ("label\n1\n2\n", {}, "a feature column besides"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line_without_a_cell(tmp_path, text, settings, words):
    with pytest.raises(DataError) as refused:
        load(table(tmp_path, text, **settings))
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not any(cell in str(refused.value) for cell in ("51", "1.5", "60"))


def test_classes_must_be_distinct():
    with pytest.raises(ConfigError, match="two or more distinct"):
        OwnData("x", classes=("a", "a"))


def test_arrays_of_tables_and_images(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, features=np.eye(3), labels=[0, 2, 1])
    records = load(OwnData(str(path)))
    assert (records.features.dtype, records.n_classes, records.n_patients) == (np.float32, 3, 3)
    np.savez(path, features=np.zeros((2, 4, 4), np.uint8), labels=[0, 1], patients=[7, 7])
    images = load(OwnData(str(path), classes=("a", "b")))
    assert (images.features.shape, images.n_patients) == ((2, 1, 4, 4), 1)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"features": np.zeros((2, 4, 4)), "labels": [0, 1]}, "images must be uint8"),
        ({"features": np.eye(2), "labels": [0.5, 1]}, "must be whole numbers with one axis"),
        ({"features": np.eye(2), "labels": [0]}, "one row per label"),
        ({"features": np.full((2, 2), np.nan), "labels": [0, 1]}, "4 of 4 values are not"),
        ({"features": np.eye(2), "labels": [0, -1]}, "labels must be in"),
        ({"labels": [0, 1]}, "must hold the arrays features, labels"),
        ({"features": np.array([{}, 1]), "labels": [0, 1]}, "must hold numbers"),
    ],
)
def test_arrays_that_cannot_be_used_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=words):
        load(OwnData(str(tmp_path / "bad.npz")))


def test_a_hospital_deals_its_file_as_the_simulation_deals_its_records(tmp_path):
    truth = federate(SOURCES["breast_cancer"](), PARTITIONS["dirichlet"](), 3, 4, 7)
    for hospital, (name, path) in enumerate(lay_out(truth, tmp_path).items()):
        own = load(OwnData(str(path)))
        shard = patient_shards(own.patients, 4, own_stream(7, name))
        for index, simulated in enumerate(truth.shards(hospital)):
            np.testing.assert_array_equal(own.features[shard == index], simulated.features)
            np.testing.assert_array_equal(own.labels[shard == index], simulated.labels)
        assert path.stat().st_mode & 0o777 == 0o600


def test_other_names_have_streams_of_their_own():
    draws = {name: own_stream(1, name).random() for name in ("north", "south", "hospital-0")}
    assert len(set(draws.values())) == 3
    assert own_stream(1, "north").random() == draws["north"]
    assert own_stream(2, "north").random() != draws["north"]


@pytest.mark.data
def test_a_file_of_the_heart_study_is_one_hospital(data_root):
    path = data_root / "heart-disease" / "processed.switzerland.data"
    own = load(OwnData(str(path)))
    assert (own.n_patients, own.columns, own.class_names) == (123, heart.COLUMNS, heart.CLASSES)
    everybody = SOURCES["heart_disease"](str(data_root)).load()
    here = everybody.hospitals == list(heart.FILES).index("Switzerland")
    np.testing.assert_array_equal(own.features, everybody.features[here])
    np.testing.assert_array_equal(own.labels, everybody.labels[here])
