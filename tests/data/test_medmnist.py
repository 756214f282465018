"""MedMNIST files: who is private, what is public, and files that are not what they should be."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedpate.data.federated import federate
from fedpate.data.medmnist import PARTS, MedMnist
from fedpate.data.medmnist_sets import MEDMNIST, BloodMnist, BreastMnist, PneumoniaMnist
from fedpate.data.partition import Dirichlet
from fedpate.data.splits import split
from fedpate.errors import ConfigError, DataError
from fedpate.rng import stream


def image(number, channels=1):
    """A 28 x 28 image of its own for each number."""
    pixels = np.zeros((28, 28, channels), np.uint8)
    pixels[0, 0] = number % 256
    pixels[1, 0] = number // 256
    return pixels if channels > 1 else pixels[:, :, 0]


def write(folder, source, **numbers):
    """The npz of a set whose images in each part have these numbers; label = number mod classes."""
    arrays = {}
    for part in PARTS:
        of_part = numbers[part]
        arrays[f"{part}_images"] = np.stack([image(n, source.channels) for n in of_part])
        labels = [[n % len(source.class_names)] for n in of_part]
        arrays[f"{part}_labels"] = np.array(labels, dtype=np.uint8)
    np.savez_compressed(folder / f"{source.name}.npz", **arrays)
    return arrays


def numbers_of(data, rows):
    features = data.features[rows].astype(int)
    return (features[:, 0, 0, 0] + 256 * features[:, 0, 1, 0]).tolist()


def test_the_eleven_sets():
    assert [source.name for source in MEDMNIST] == [
        "bloodmnist",
        "breastmnist",
        "dermamnist",
        "octmnist",
        "organamnist",
        "organcmnist",
        "organsmnist",
        "pathmnist",
        "pneumoniamnist",
        "retinamnist",
        "tissuemnist",
    ]
    classes = [len(source.class_names) for source in MEDMNIST]
    assert classes == [8, 2, 7, 4, 11, 11, 11, 9, 2, 5, 8]
    assert [source.channels for source in MEDMNIST] == [3, 1, 3, 1, 1, 1, 1, 3, 1, 3, 1]


def test_a_set_differs_from_another_with_the_same_settings():
    assert BreastMnist() != PneumoniaMnist()
    assert BreastMnist() == BreastMnist()


@pytest.mark.parametrize("source", MEDMNIST)
def test_colours_come_first_and_labels_are_the_file_s(tmp_path, source):
    arrays = write(tmp_path, source, train=range(40), val=range(40, 52), test=range(52, 60))
    data = source(str(tmp_path), pool_fraction=0).load()
    assert data.features.shape == (60, source.channels, 28, 28)
    assert data.features.flags.c_contiguous
    assert (data.kind, data.full_scale, data.class_names) == ("image", 255.0, source.class_names)
    assert data.labels.tolist() == [n % data.n_classes for n in range(60)]
    last = arrays["test_images"][-1]
    expected = last.transpose(2, 0, 1) if source.channels == 3 else last[np.newaxis]
    assert (data.features[59] == expected).all()


def test_labels_may_lack_their_second_axis(tmp_path):
    arrays = write(tmp_path, BreastMnist, train=range(9), val=[9], test=[10])
    flat = {name: a.reshape(-1) if "labels" in name else a for name, a in arrays.items()}
    np.savez(tmp_path / "breastmnist.npz", **flat)
    assert BreastMnist(str(tmp_path)).load().labels.tolist() == [n % 2 for n in range(11)]


@given(
    st.lists(st.integers(0, 40), min_size=6, max_size=30),
    st.lists(st.integers(20, 50), min_size=1, max_size=10),
    st.lists(st.integers(30, 60), min_size=1, max_size=10),
    st.floats(0, 0.9),
)
def test_each_image_is_in_one_part_and_only_training_images_leave(
    tmp_path_factory, train, val, test, fraction
):
    folder = tmp_path_factory.mktemp("medmnist")
    train, val, test = [0, 1, 2, *train], [100, *val], [101, *test]
    write(folder, BreastMnist, train=train, val=val, test=test)
    source = BreastMnist(str(folder), pool_fraction=fraction)
    data = source.load()
    parts = split(data, source, stream(0, "split"))  # also proves them disjoint by patient
    private, pool = numbers_of(data, parts.private_rows), numbers_of(data, parts.pool_rows)
    assert numbers_of(data, parts.test_rows) == test
    trained = [n for n in train if n not in val and n not in test]
    shown = [n for n in val if n not in test]
    assert pool[: len(shown)] == shown
    assert sorted(private + pool[len(shown) :]) == sorted(trained)
    n_public = np.ceil(round(fraction * len(set(trained)), 9))
    assert len(set(pool[len(shown) :])) == n_public
    assert len(set(data.patients.tolist())) == len({*train, *val, *test})


def test_which_training_images_are_public_does_not_depend_on_their_order(tmp_path):
    chosen = []
    for order in (range(50), reversed(range(50))):
        write(tmp_path, BreastMnist, train=list(order), val=[50], test=[51])
        data = BreastMnist(str(tmp_path), pool_fraction=0.3).load()
        chosen.append(set(numbers_of(data, data.fixed_split[0])))
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 16
    assert chosen[0] - {50} != set(range(15))


@pytest.mark.parametrize("fraction", [-0.1, 1, float("nan")])
def test_the_fraction_is_checked(fraction):
    with pytest.raises(ConfigError, match=r"data\.pool_fraction must be in \[0, 1\), got"):
        BreastMnist(pool_fraction=fraction)


def refusal(folder, source=BreastMnist):
    with pytest.raises(DataError) as caught:
        source(str(folder)).load()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_missing_file_says_where_it_comes_from(tmp_path):
    assert f"data.root={tmp_path} must hold breastmnist.npz (MedMNIST, 28 x 28" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_labels": np.zeros((2, 14), np.uint8)}, "val must hold one label for each image"),
        ({"val_labels": np.full(2, 9, np.uint8)}, r"val must hold labels in [0, 2), 2 of 2 are"),
        ({"val_labels": np.array([0, -1])}, r"val must hold labels in [0, 2), 1 of 2 are not"),
        ({"val_labels": np.array(0)}, "uint8 images of shape (n, 28, 28), got"),
        ({"val_labels": np.zeros(3, np.uint8)}, "got uint8 (2, 28, 28) for 3 labels"),
        ({"val_images": np.zeros((2, 28, 28), np.int64)}, "got int64 (2, 28, 28) for 2 labels"),
        ({"val_images": np.zeros((2, 64, 64), np.uint8)}, "got uint8 (2, 64, 64) for 2 labels"),
        (
            {"val_images": np.zeros((0, 28, 28), np.uint8), "val_labels": np.zeros(0, np.uint8)},
            "for 0 labels",
        ),
        ({"val_images": np.array([None, None])}, "val_images must hold whole numbers"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, changes, message):
    arrays = write(tmp_path, BreastMnist, train=range(9), val=[9, 10], test=[11])
    np.savez(tmp_path / "breastmnist.npz", **(arrays | changes))
    assert message in refusal(tmp_path)


def test_a_colour_set_needs_colours(tmp_path):
    class Grey(BloodMnist):
        channels = 1

    write(tmp_path, Grey, train=range(9), val=[9], test=[11])
    assert "of shape (n, 28, 28, 3), got uint8 (9, 28, 28)" in refusal(tmp_path, BloodMnist)


@pytest.mark.data
def test_pneumoniamnist(data_root):
    source = PneumoniaMnist(str(data_root))
    federation = federate(source, Dirichlet(0.5), 10, 4, 0)
    data, parts = federation.dataset, federation.split
    # 4,708 / 524 / 624 images; 10 training images are copies of 8 validation images.
    assert len(data) == 4708 - 10 + 524 + 624
    assert len(parts.test_rows) == 624
    assert np.bincount(data.labels[parts.test_rows]).tolist() == [234, 390]
    assert np.bincount(data.labels[parts.pool_rows[:524]]).tolist() == [135, 389]
    assert len(parts.pool_rows) + len(parts.private_rows) == 4698 + 524
    assert len(parts.pool_rows) == 994
    # The public share of the training images is a fair sample: 74 % pneumonia, within 4 sigma.
    assert abs(data.labels[parts.pool_rows[524:]].mean() - 0.742) < 4 * (0.742 * 0.258 / 470) ** 0.5
    with np.load(data_root / "pneumoniamnist.npz") as raw:
        assert (data.features[parts.test_rows, 0] == raw["test_images"]).all()


@pytest.mark.data
def test_a_pooled_regression_reaches_what_the_official_split_gives(data_root):
    from sklearn.linear_model import LogisticRegression

    federation = federate(PneumoniaMnist(str(data_root)), Dirichlet(0.5), 10, 4, 0)
    private, test = federation.private(), federation.test()
    flat = [
        federation.preprocessing().apply(x.features).reshape(len(x), -1) for x in (private, test)
    ]
    model = LogisticRegression(max_iter=400).fit(flat[0], private.labels)
    # .846 with all 4,708 official training images and the same settings.
    assert model.score(flat[1], test.labels) == pytest.approx(0.846, abs=0.02)


def test_the_base_is_no_set_of_its_own():
    assert not hasattr(MedMnist, "class_names")
