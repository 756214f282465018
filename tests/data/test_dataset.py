"""The data set record: shapes, types and values are checked, and nobody can change it later."""

import numpy as np
import pytest

from fedpate.data.dataset import Dataset, codes
from fedpate.errors import DataError


def table(**changes):
    fields = {
        "name": "toy",
        "features": np.arange(8, dtype=np.float32).reshape(4, 2),
        "labels": np.array([0, 1, 0, 1]),
        "class_names": ("no", "yes"),
        "patients": np.array([0, 0, 1, 2]),
    }
    return Dataset(**(fields | changes))


def test_kind_and_classes_are_public_facts_not_counts():
    assert (table().kind, table().n_classes) == ("tabular", 2)
    rare = table(class_names=("no", "yes", "never seen"))
    assert rare.n_classes == 3
    image = table(features=np.zeros((4, 1, 2, 2), np.uint8), full_scale=255.0)
    assert image.kind == "image"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"labels": np.array([0, 1, 0])},
            r"labels must be int64 of shape \(4,\), got int64 \(3,\)",
        ),
        ({"patients": np.zeros(4)}, r"patients must be int64 .* got float64"),
        ({"hospitals": np.zeros(5, np.int64)}, r"hospitals must be int64 of shape \(4,\)"),
        ({"labels": np.array([0, 1, 2, 1])}, r"labels must be in \[0, n_classes=2\)"),
        ({"labels": np.array([0, 1, -1, 1])}, r"labels must be in \[0, n_classes=2\)"),
        ({"labels": np.array([1, 1, 1, 1])}, "labels must have at least 2 classes, found 1"),
        ({"features": np.zeros((4, 2))}, "must be float32 with 2 axes"),
        ({"features": np.zeros((4, 0), np.float32)}, "not empty"),
        ({"full_scale": 255.0}, "features of kind image must be uint8 with 4 axes"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    with pytest.raises(DataError, match=message):
        table(**changes)


def test_missing_is_allowed_where_the_schema_says_so_and_infinite_never():
    features = np.array([[1, 2], [np.nan, 3], [4, np.nan], [5, 6]], np.float32)
    assert np.isnan(table(features=features, missing_allowed=True).features).sum() == 2
    with pytest.raises(DataError, match=r"2 of 8 values are not, in 2 records"):
        table(features=features)
    features = features.copy()
    features[0, 0] = np.inf
    with pytest.raises(DataError, match=r"1 of 8 values are not, in 1 records"):
        table(features=features, missing_allowed=True)


def test_the_shared_copy_cannot_be_written_to_but_what_is_taken_can():
    data = table(hospitals=np.zeros(4, np.int64))
    for array in (data.features, data.labels, data.patients, data.hospitals):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    taken = data.take(np.array([2, 0]))
    assert taken.features.tolist() == [[4, 5], [0, 1]]
    taken.features[0, 0] = -1
    assert data.features[2, 0] == 4


def test_codes_are_sorted_and_named():
    values, names = codes(["b", "a", "c", "a"])
    assert values.tolist() == [1, 0, 2, 0]
    assert names == ("a", "b", "c")
    assert codes(np.array([10, 9, 10]))[1] == ("9", "10")
