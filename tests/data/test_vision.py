"""MNIST through torchvision: the split of the PATE papers, and folders without the files."""

import numpy as np
import pytest

from fedpate.data.splits import split
from fedpate.data.vision import FashionMnist, Mnist
from fedpate.errors import DataError
from fedpate.rng import stream

RAW = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(array):
    """The bytes of an IDX file of unsigned bytes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape)
    return header + array.tobytes()


@pytest.mark.parametrize(("source", "folder"), [(Mnist, "MNIST"), (FashionMnist, "FashionMNIST")])
def test_missing_files_name_the_settings_that_help(tmp_path, source, folder):
    message = rf"data\.root=.* must hold {folder}/raw/ with train-images.*data\.download=true"
    with pytest.raises(DataError, match=message) as caught:
        source(str(tmp_path)).load()
    assert "\n" not in str(caught.value)


def test_files_that_are_not_images(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in RAW:
        (raw / name).write_bytes(b"not an IDX file")
    with pytest.raises(DataError, match=r"data\.root=.*: mnist holds files that cannot be read"):
        Mnist(str(tmp_path)).load()


def test_another_number_of_images_is_refused(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in RAW:
        shape = (3, 28, 28) if "images" in name else (3,)
        (raw / name).write_bytes(idx(np.zeros(shape, np.uint8)))
    with pytest.raises(DataError, match=r"must be 60000 and 10000 images.*got \[\(3, 28, 28\)"):
        Mnist(str(tmp_path)).load()


@pytest.mark.data
def test_mnist_has_the_split_of_the_papers(data_root):
    source = Mnist(str(data_root))
    data = source.load()
    assert (data.features.shape, data.features.dtype) == ((70_000, 1, 28, 28), np.uint8)
    assert (data.n_classes, data.kind, data.full_scale) == (10, "image", 255.0)
    parts = split(data, source, stream(0, "split"))
    assert parts.private_rows.tolist() == list(range(60_000))
    assert parts.pool_rows.tolist() == list(range(60_000, 69_000))
    assert parts.test_rows.tolist() == list(range(69_000, 70_000))
    # Counts of the ten digits in the official files, and the first test image against its bytes.
    assert np.bincount(data.labels[:60_000]).tolist() == [
        5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949
    ]  # fmt: skip
    assert data.labels[parts.pool_rows[:5]].tolist() == [7, 2, 1, 0, 4]
    raw = np.fromfile(data_root / "MNIST/raw/t10k-images-idx3-ubyte", np.uint8)
    assert (
        data.features[parts.pool_rows[8999]].tobytes() == raw[16:].reshape(-1, 784)[8999].tobytes()
    )


@pytest.mark.data
def test_the_published_votes_are_about_the_pool(data_root, pate_votes):
    data = Mnist(str(data_root)).load()
    votes = np.load(pate_votes)
    pool_labels = data.labels[data.fixed_split[0]]
    assert (votes.argmax(axis=1) == pool_labels).mean() == pytest.approx(0.944, abs=0.001)
