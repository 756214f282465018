"""Four hospitals against the published facts, and files that are not what they should be."""

import numpy as np
import pytest

from fedpate.data.federated import federate
from fedpate.data.heart import FILES, HeartDisease
from fedpate.data.partition import Natural
from fedpate.errors import ConfigError, DataError

LINE = "63.0,1.0,1.0,145.0,233.0,1.0,2.0,150.0,0.0,2.3,3.0,?,6.0,{}\n"


@pytest.fixture
def made_up(tmp_path):
    """Four small files in the right place."""
    folder = tmp_path / "heart-disease"
    folder.mkdir()
    for file in FILES.values():
        (folder / file).write_text(LINE.format(0) + LINE.format(3))
    return tmp_path


def test_a_line_is_13_features_with_gaps_and_a_number_of_vessels(made_up):
    data = HeartDisease(str(made_up)).load()
    assert data.features.shape == (8, 13)
    assert np.isnan(data.features).sum(axis=0).tolist() == [0] * 11 + [8, 0]
    assert data.labels.tolist() == [0, 1] * 4
    assert data.hospitals.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_cholesterol_of_zero_was_not_measured(made_up):
    file = made_up / "heart-disease" / "processed.switzerland.data"
    file.write_text(LINE.format(0).replace("233.0", "0") + LINE.format(1).replace("145.0", "0"))
    missing = np.isnan(HeartDisease(str(made_up)).load().features)
    assert missing[4:6, [3, 4]].tolist() == [[False, True], [True, False]]


@pytest.mark.parametrize(
    "bad",
    ["63,1,canary,145,233,1,2,150,0,2.3,3,0,6,0\n", "63,1\n", LINE.format("?"), LINE.format("inf")],
)
def test_a_bad_line_is_named_and_not_quoted(made_up, bad):
    file = made_up / "heart-disease" / "processed.va.data"
    file.write_text(LINE.format(1) + "\n" + bad)
    with pytest.raises(
        DataError, match=r"data\.root: line 3 of processed\.va\.data must"
    ) as caught:
        HeartDisease(str(made_up)).load()
    assert "63" not in str(caught.value)
    assert "canary" not in str(caught.value)


def test_missing_empty_and_unreadable_files(made_up):
    file = made_up / "heart-disease" / "processed.va.data"
    file.write_text("\n")
    with pytest.raises(DataError, match=r"processed\.va\.data must hold records, it is empty"):
        HeartDisease(str(made_up)).load()
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"processed\.va\.data cannot be read as text"):
        HeartDisease(str(made_up)).load()
    file.unlink()
    message = r"data\.root=.* must hold heart-disease/ with processed\.va\.data"
    with pytest.raises(DataError, match=message):
        HeartDisease(str(made_up)).load()


@pytest.mark.data
def test_the_real_hospitals_match_the_published_numbers(data_root):
    data = HeartDisease(str(data_root)).load()
    assert data.hospital_names == ("Cleveland", "Hungary", "Switzerland", "VA Long Beach")
    assert np.bincount(data.hospitals).tolist() == [303, 294, 123, 200]
    diseased = [data.labels[data.hospitals == hospital].sum() for hospital in range(4)]
    assert diseased == [139, 106, 115, 149]
    assert round(data.labels.mean(), 3) == 0.553
    # ca, thal and slope are the ones that most hospitals did not measure.
    missing = np.isnan(data.features).sum(axis=0)
    assert missing.tolist() == [0, 0, 0, 60, 202, 90, 2, 55, 55, 62, 309, 611, 486]


@pytest.mark.data
def test_the_real_hospitals_deal_their_own_patients(data_root):
    source = HeartDisease(str(data_root))
    federation = federate(source, Natural(), None, 10, 0)
    assert federation.partition.n_hospitals == 4
    rows = federation.split.private_rows
    for hospital in range(4):
        shards = federation.partition.shards(hospital)
        members = federation.dataset.hospitals[rows[np.concatenate(shards)]]
        assert (members == hospital).all()
    with pytest.raises(ConfigError, match=r"teachers_per_hospital must be at most \d+ for part"):
        federate(source, Natural(), 4, 200, 0)
