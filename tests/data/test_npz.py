"""npz files from elsewhere: what numpy wrote is read, everything else is refused within bounds."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fedpate.data import npz
from fedpate.data.npz import read_arrays
from fedpate.errors import DataError

WHOLE = arrays.arrays(
    st.sampled_from(["u1", "<i8", ">i2", "<u4"]), arrays.array_shapes(min_dims=0, max_side=5)
)


def packed(**members):
    file = io.BytesIO()
    np.savez_compressed(file, **members)
    return file.getvalue()


GOOD = packed(a=np.arange(300, dtype=np.int64), b=np.zeros((40, 5), np.uint8))


@pytest.fixture
def write(tmp_path):
    def to_file(content):
        path = tmp_path / "some.npz"
        path.write_bytes(content)
        return path

    return to_file


def refusal(path, names=("a", "b")):
    with pytest.raises(DataError) as caught:
        read_arrays(path, names, "data.root: some.npz")
    message = str(caught.value)
    assert message.startswith("data.root: some.npz")
    assert "\n" not in message
    return message


@given(WHOLE, WHOLE)
def test_what_numpy_writes_is_read_as_numpy_reads_it(tmp_path_factory, first, second):
    path = tmp_path_factory.mktemp("npz") / "some.npz"
    np.savez_compressed(path, a=first, b=np.asfortranarray(second))
    read = read_arrays(path, ["b", "a"], "x")
    for name, written in (("a", first), ("b", second)):
        assert read[name].dtype == written.dtype
        np.testing.assert_array_equal(read[name], written)


def test_uncompressed_files_and_further_members_are_fine(tmp_path):
    np.savez(tmp_path / "some.npz", a=np.arange(3), c=np.array(["text"], dtype=object))
    assert read_arrays(tmp_path / "some.npz", ["a"], "x")["a"].tolist() == [0, 1, 2]


def test_a_pickle_is_never_loaded(tmp_path):
    np.savez(tmp_path / "some.npz", a=np.array([print], dtype=object), b=np.zeros(3))
    assert "a must hold whole numbers, it holds object" in refusal(tmp_path / "some.npz", ["a"])
    assert "b must hold whole numbers, it holds float64" in refusal(tmp_path / "some.npz", ["b"])


def test_a_declared_size_is_refused_before_anything_is_unpacked(write, monkeypatch):
    bomb = packed(a=np.zeros(10**6, np.uint8))
    assert len(bomb) < 2000
    monkeypatch.setattr(npz, "MOST_BYTES", 10**6)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)  # unpacking would fail otherwise
    assert "at most 1000000 bytes unpacked, it declares 1000128" in refusal(write(bomb), ["a"])
    assert "must have at most 1000000 bytes, it is larger" in refusal(write(b"x" * 10**6 + b"x"))


def declare(content, size, field=24):
    """The zip's directory says another unpacked size of its first member."""
    at = content.index(b"PK\x01\x02") + field
    return content[:at] + size.to_bytes(4, "little") + content[at + 4 :]


def test_a_size_declared_too_small_or_too_large_is_noticed(write):
    bomb = packed(a=np.zeros(10**6, np.uint8), b=np.zeros(1, np.uint8))
    assert "cannot be read as npz (BadZipFile)" in refusal(write(declare(bomb, 500)))  # checksum
    assert "as long as its header says" in refusal(write(declare(bomb, 2 * 10**6)))
    assert "unpacked, it declares" in refusal(write(declare(bomb, 2**31)))
    # The header agrees with the directory, but 10**6 bytes follow.
    with zipfile.ZipFile(io.BytesIO(packed(a=np.zeros(100, np.uint8)))) as archive:
        npy = archive.read("a.npy")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy + bytes(10**6))
    message = refusal(write(declare(file.getvalue(), len(npy))), ["a"])
    assert "cannot be read as npz (BadZipFile)" in message


def test_headers_that_do_not_fit(write):
    def with_header(text, payload=b"", version=b"\x01\x00"):
        content = b"\x93NUMPY" + version + len(text).to_bytes(2, "little") + text + payload
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("a.npy", content)
        return write(file.getvalue())

    shape = b"{'descr': '|u1', 'fortran_order': False, 'shape': (%s,), }"
    assert read_arrays(with_header(shape % b"2", b"\x05\x06"), ["a"], "x")["a"].tolist() == [5, 6]
    assert "as long as its header says" in refusal(with_header(shape % b"3", b"\x05\x06"), ["a"])
    assert "as long as its header" in refusal(with_header(shape % b"-1,-2", b"\x05\x06"), ["a"])
    assert "as long as its header" in refusal(with_header(shape % b"9" * 1, b"\x05"), ["a"])
    assert "version 1.0 or 2.0" in refusal(with_header(shape % b"0", version=b"\x03\x00"), ["a"])
    assert "(ValueError)" in refusal(with_header(b"__import__('os')"), ["a"])


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(write, method):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("a.npy", b"")
    assert "must be stored or deflated and not encrypted" in refusal(write(file.getvalue()), ["a"])


def test_missing_files_and_arrays(write, tmp_path):
    assert "must be a file" in refusal(tmp_path / "nowhere.npz")
    assert "must hold the arrays a, b; no b" in refusal(write(packed(a=np.arange(3))))
    assert "cannot be read as npz (BadZipFile)" in refusal(write(b"canary"))


@given(
    st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(1, 255)), max_size=4),
    st.integers(0, len(GOOD)),
)
def test_a_damaged_file_is_refused_or_right(tmp_path_factory, flips, length):
    content = bytearray(GOOD)
    for place, mask in flips:
        content[place] ^= mask
    if length % 3 == 0:
        del content[length:]
    path = tmp_path_factory.mktemp("npz") / "some.npz"
    path.write_bytes(content)
    try:
        read = read_arrays(path, ["a", "b"], "x")
    except DataError:
        return
    # The checksum covers the arrays; nothing else can have been changed without being noticed.
    assert sorted(read["a"].tolist()) == list(range(300))
    assert not read["b"].any()
