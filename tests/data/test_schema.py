import numpy as np
import pandas as pd
import pytest

from fedpate.data.inputs import read_inputs
from fedpate.data.schema import Column, Schema

NAMES = ("age", "town=A", "town=B", "town=C", "weight")
POOL = np.array([[1, 1, 0, 0, 5], [2, 0, 0, 1, 6]], dtype=np.float32)


def schema(names=NAMES, pool=POOL, missing=False) -> Schema:
    return Schema.of_pool(pool, ["no", "yes"], names, missing_allowed=missing)


def test_a_category_that_only_private_records_have_is_not_named():
    assert schema().columns == (
        *(Column("age"), Column("town", ("A", None, "C")), Column("weight")),
    )
    assert "B" not in schema().to_json()


def test_columns_without_names_are_numbered_and_images_have_none():
    assert [column.name for column in schema(names=None).columns][-1] == "feature_4"
    assert schema(pool=np.zeros((2, 1, 3, 3), np.uint8)).columns == ()


@pytest.mark.parametrize("names", [NAMES, None])
def test_json_there_and_back(names):
    assert Schema.from_json(schema(names).to_json()) == schema(names)


def test_text_becomes_the_features_of_the_training_also_where_it_is_coded_already(tmp_path):
    text = pd.DataFrame({"weight": [7, 8, 9], "town": ["C", "B", "A"], "age": [3, 4, 5]})
    coded = pd.DataFrame(
        {"town=A": [0, 0, 1], "town=C": [1, 0, 0], "age": [3, 4, 5], "weight": [7, 8, 9]}
    )
    text.to_csv(tmp_path / "text.csv", index=False)
    coded.to_csv(tmp_path / "coded.csv", index=False)
    expected = [[3, 0, 0, 1, 7], [4, 0, 0, 0, 8], [5, 1, 0, 0, 9]]
    for name in ("text.csv", "coded.csv"):
        found = read_inputs(tmp_path / name, schema(), (5,))
        assert np.array_equal(found.features, np.array(expected, np.float32))
        assert found.ids == ["1", "2", "3"]


def test_a_number_may_be_missing_where_training_allowed_it(tmp_path):
    (tmp_path / "gaps.csv").write_text("age,town,weight\n,A,1\n2,C,\n")
    found = read_inputs(tmp_path / "gaps.csv", schema(missing=True), (5,))
    assert np.isnan(found.features).sum() == 2
