"""A user's own images: by class folders or by a table, and refusals that name nobody."""

import traceback

import numpy as np
import pytest
from PIL import Image

from fedpate.data.federated import federate
from fedpate.data.image_folder import ImageFolder
from fedpate.data.partition import Natural
from fedpate.errors import ConfigError, DataError, FedPateError

CANARY = "Q7canaryZ"  # a patient's name, in names of files, of classes and in cells


def picture(shade):
    """An image of its own for each shade."""
    pixels = np.full((5, 7), shade, np.uint8)
    pixels[0, 0] = 255 - shade
    return Image.fromarray(pixels)


@pytest.fixture
def folder(tmp_path):
    """Two classes with three and two images, one image twice."""
    for name, shades in {"sick": [10, 20, 30], "healthy": [40, 10]}.items():
        (tmp_path / name).mkdir()
        for index, shade in enumerate(shades):
            picture(shade).save(tmp_path / name / f"{CANARY}{index}.png")
    return tmp_path


TABLE = f"""file,label,patient,hospital
sick/{CANARY}0.png,1,p1,north
sick/{CANARY}1.png,1,p2,south
sick/{CANARY}2.png,1,p1,north
healthy/{CANARY}0.png,0,p3,south
healthy/{CANARY}1.png,0,p4,south
"""


def refusal(folder, error=DataError, **settings):
    with pytest.raises(error) as caught:
        ImageFolder(str(folder), **settings).load()
    assert isinstance(caught.value, FedPateError)
    shown = "".join(traceback.format_exception(caught.value))
    assert CANARY not in shown
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_folders_are_classes_and_copies_are_one_patient(folder):
    data = ImageFolder(str(folder), size=None, channels=1).load()
    assert data.class_names == ("healthy", "sick")
    assert data.labels.tolist() == [0, 0, 1, 1, 1]
    assert data.features[:, 0, 4, 4].tolist() == [40, 10, 10, 20, 30]
    assert (data.kind, data.full_scale, data.hospitals) == ("image", 255.0, None)
    assert data.patients[1] == data.patients[2]
    assert len(set(data.patients.tolist())) == 4


def test_size_and_channels(folder):
    assert ImageFolder(str(folder)).load().features.shape == (5, 3, 64, 64)
    assert ImageFolder(str(folder), size=4, channels=1).load().features.shape == (5, 1, 4, 4)
    assert ImageFolder(str(folder), size=None).load().features.shape == (5, 3, 5, 7)


def test_hidden_entries_do_not_count_and_an_empty_folder_is_a_class(folder):
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "sick" / ".thumbnails").mkdir()
    (folder / "rare").mkdir()
    (folder / "README.txt").write_text("not an image")
    data = ImageFolder(str(folder), size=4).load()
    assert data.class_names == ("healthy", "rare", "sick")
    assert np.bincount(data.labels).tolist() == [2, 0, 3]


def test_a_table_tells_labels_patients_and_hospitals(folder):
    (folder / "labels.csv").write_text(TABLE)
    data = ImageFolder(str(folder), labels="labels.csv", size=None, channels=1).load()
    assert data.class_names == ("0", "1")
    assert data.labels.tolist() == [1, 1, 1, 0, 0]
    assert data.features[:, 0, 4, 4].tolist() == [10, 20, 30, 40, 10]
    assert data.patients.tolist() == [0, 1, 0, 2, 3]
    assert data.hospitals.tolist() == [0, 1, 0, 1, 1]
    assert data.hospital_names == ("north", "south")
    dropped = ImageFolder(
        str(folder), labels="labels.csv", small_hospitals="drop", fewest_patients=2, size=2
    ).load()
    assert dropped.hospital_names == ("south",)
    assert len(dropped) == 3


def test_the_table_may_lie_elsewhere_and_leave_patients_out(folder, tmp_path_factory):
    table = tmp_path_factory.mktemp("elsewhere") / "some.csv"
    lines = [",".join(line.split(",")[:2]) for line in TABLE.splitlines()]
    table.write_text("\n".join(lines))
    data = ImageFolder(str(folder), labels=str(table), size=None).load()
    assert data.hospitals is None
    assert data.patients[0] == data.patients[4]  # the copies
    assert len(set(data.patients.tolist())) == 4


def test_a_federation_of_real_hospitals(folder):
    shades = np.arange(60)
    lines = ["file,label,patient,hospital"]
    for shade in shades:
        picture(int(shade)).save(folder / f"{shade}.jpg")
        lines.append(f"{shade}.jpg,{shade % 2},{shade // 2 + 100},{shade // 2 % 3}")
    (folder / "labels.csv").write_text("\n".join(lines))
    source = ImageFolder(str(folder), labels="labels.csv", size=8)
    federation = federate(source, Natural(), None, 2, 0)
    owner, home = federation.dataset.patients, federation.dataset.hospitals
    parts = [federation.split.pool_rows, federation.split.test_rows]
    for hospital in range(3):
        for shard in federation.partition.shards(hospital):
            rows = federation.split.private_rows[shard]
            assert (home[rows] == hospital).all()
            parts.append(rows)
    assert sum(len(set(owner[rows].tolist())) for rows in parts) == 30
    assert federation.preprocessing().apply(federation.pool().features).max() <= 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"path": ""}, r"data\.path must be a name, got ''"),
        ({"labels": ""}, r"data\.labels must be a name, got ''"),
        ({"size": 0}, r"data\.size must be a whole number >= 1, got 0"),
        ({"channels": 2}, r"data\.channels must be 1 \(grey\) or 3 \(RGB\), got 2"),
        ({"small_hospitals": "x"}, r"data\.small_hospitals must be one of drop, pool"),
        ({"pool_fraction": 0.9}, r"data\.pool_fraction \+ data\.test_fraction must be < 1"),
    ],
)
def test_settings_are_checked_before_anything_is_read(settings, message):
    with pytest.raises(ConfigError, match=message):
        ImageFolder(**({"path": "nowhere"} | settings))


def test_folders_that_do_not_fit(folder, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    assert "must be a folder" in refusal(empty / "nowhere")
    assert "must hold 2 to 1000 folders, one for each class, found 0" in refusal(empty)
    (empty / "a").mkdir()
    (empty / "b").mkdir()
    assert "and nothing else, 0 of 0 entries are not" in refusal(empty)
    picture(1).save(folder / f"{CANARY}.png")
    assert "images in class folders only, 1 are in none" in refusal(folder)
    (folder / f"{CANARY}.png").unlink()
    (folder / "sick" / f"{CANARY}.dcm").write_bytes(b"DICM")
    (folder / "sick" / f"{CANARY}.png").mkdir()
    assert "and nothing else, 2 of 7 entries are not" in refusal(folder)


def test_a_damaged_image_is_counted(folder):
    (folder / "sick" / f"{CANARY}1.png").write_bytes(CANARY.encode())
    assert "image 4 of 5, by class and name, must be a whole PNG" in refusal(folder)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("patient", "patient_id", "it has file, label, patient_id, hospital"),
        ("file,", "image,", "must have the columns file and label"),
        (f"sick/{CANARY}1.png", f"../{CANARY}1.png", "1 of 5 are none, 0 are named before"),
        (f"sick/{CANARY}1.png", f"/etc/{CANARY}.png", "1 of 5 are none, 0 are named before"),
        (f"sick/{CANARY}1.png", "labels.csv", "1 of 5 are none, 0 are named before"),
        (f"sick/{CANARY}1.png", f"sick/{CANARY}9.png", "1 of 5 are none, 0 are named before"),
        (f"sick/{CANARY}1.png", f"sick/{CANARY}0.png", "0 of 5 are none, 1 are named before"),
        (f"sick/{CANARY}1.png", "", "1 of 5 are none, 0 are named before"),
        (",1,p2", ",,p2", "data.labels=labels.csv: label must have a value in every record, 1 of"),
        (",1,p2", ",1,", "data.labels=labels.csv: patient must have a value in every record, 1 of"),
    ],
)
def test_a_table_that_does_not_fit(folder, old, new, message):
    assert old in TABLE
    (folder / "labels.csv").write_text(TABLE.replace(old, new))
    assert message in refusal(folder, labels="labels.csv")


def test_tables_that_are_none(folder):
    assert "data.labels=labels.csv must be a file" in refusal(folder, labels="labels.csv")
    (folder / "labels.csv").write_text(TABLE.splitlines()[0] + "\n")
    assert "must hold records, it has a header only" in refusal(folder, labels="labels.csv")
    (folder / "labels.csv").write_text(TABLE)
    (folder / "sick" / f"{CANARY}2.png").write_bytes(b"")
    message = refusal(folder, labels="labels.csv")
    assert "image 3 of 5, in the order of data.labels, must be a whole PNG" in message
