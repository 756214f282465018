"""Decoding within bounds: right pixels, or one line that counts images and names none."""

import io
import traceback
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fedpate.data import images
from fedpate.data.images import distinct_images, read_images
from fedpate.errors import ConfigError, DataError

CANARY = "Q7canaryZ"  # stands in names of files and in metadata
GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=2)


@pytest.fixture
def write(tmp_path):
    def to_file(content, name=f"{CANARY}.png", **options):
        path = tmp_path / name
        if isinstance(content, np.ndarray):
            Image.fromarray(content).save(path, **options)
        else:
            path.write_bytes(content)
        return path

    return to_file


def read(*files, size=None, channels=1):
    return read_images(files, "in some order", size=size, channels=channels)


def refusal(*files, error=DataError, **settings):
    with pytest.raises(error) as caught:
        read(*files, **settings)
    shown = "".join(traceback.format_exception(caught.value, limit=0))
    assert CANARY not in shown
    assert "\n" not in str(caught.value)
    return str(caught.value)


def png_of(content):
    file = io.BytesIO()
    Image.fromarray(content).save(file, "PNG")
    return file.getvalue()


def test_lossless_pixels_come_back_as_they_were(write):
    grey, colour = write(GREY, "grey.png"), write(COLOUR, "colour.png")
    assert read(grey).tolist() == [[GREY.tolist()]]
    assert read(colour, channels=3)[0].tolist() == COLOUR.transpose(2, 0, 1).tolist()
    assert read(grey, channels=3)[0].tolist() == [GREY.tolist()] * 3  # without loss
    luminance = read(colour, channels=1)[0, 0]
    assert abs(luminance - COLOUR @ [0.299, 0.587, 0.114]).max() <= 1


def test_jpeg_palette_bits_and_transparency_are_converted(write):
    smooth = np.full((8, 8), 100, np.uint8)
    files = [write(smooth, "a.jpg", quality=95), write(smooth, "b.jpeg")]
    assert abs(read(*files).astype(int) - 100).max() <= 2
    palette = Image.fromarray(COLOUR).quantize(256)
    palette.save(path := files[0].with_name("palette.png"))
    expected = np.asarray(palette.convert("RGB")).transpose(2, 0, 1)
    assert read(path, channels=3)[0].tolist() == expected.tolist()
    Image.fromarray(GREY > 100).save(path := files[0].with_name("bits.png"))
    assert read(path)[0, 0].tolist() == (255 * (GREY > 100)).tolist()
    alpha = np.dstack([COLOUR, GREY])
    assert (read(write(alpha, "alpha.png"), channels=3)[0] == COLOUR.transpose(2, 0, 1)).all()


def test_resizing_is_an_average_and_ignores_the_aspect_ratio(write):
    checkers = np.kron(np.indices((8, 16)).sum(axis=0) % 2 * 200, np.ones((4, 4))).astype(np.uint8)
    small = read(write(checkers), size=4)
    assert small.shape == (1, 1, 4, 4)
    assert abs(small.astype(int) - 100).max() <= 12  # nearest neighbour gives 0 and 200


def test_an_image_is_turned_upright(write):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned by 90 degrees
    turned = read(write(GREY, exif=exif))
    assert turned[0, 0].tolist() == np.rot90(GREY, -1).tolist()


def test_the_file_to_blame_is_counted_and_not_named(write):
    good = write(GREY, "good.png")
    assert refusal(good, good, write(b"not an image")) == (
        "data.path: image 3 of 3, in some order, must be a whole PNG or JPEG image "
        "(UnidentifiedImageError)"
    )
    assert "image 2 of 2" in refusal(good, write(png_of(COLOUR)[:-30]))
    assert "(FileNotFoundError)" in refusal(good.with_name(f"{CANARY}-gone.png"))
    other = write(GREY[:4])
    assert "image 2 of 2, in some order, must be of the size of the first" in refusal(good, other)


def test_other_formats_are_not_decoded_whatever_they_are_called(write):
    for form in ("GIF", "TIFF", "BMP"):
        file = io.BytesIO()
        Image.fromarray(GREY).save(file, form)
        assert "(UnidentifiedImageError)" in refusal(write(file.getvalue()))


def test_more_than_eight_bits_are_refused_rather_than_cut_off(write):
    deep = png_of(GREY.astype(np.uint16) * 200)
    assert "must have 8 bits for each value" in refusal(write(deep))
    # Pillow takes a 16-bit colour image for one of 8 bits and drops half of each value.
    colour = bytearray(png_of(COLOUR))
    colour[24] = 16
    colour[29:33] = zlib.crc32(colour[12:29]).to_bytes(4, "big")
    assert "must have 8 bits for each value" in refusal(write(bytes(colour)), channels=3)


def test_a_bomb_is_refused_by_its_header(write, monkeypatch):
    bomb = bytearray(png_of(GREY))
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    assert "(DecompressionBombError)" in refusal(write(bytes(bomb)))
    bomb[16:24] = (10_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4, "big")
    assert "(DecompressionBombWarning)" in refusal(write(bytes(bomb)))
    monkeypatch.setattr(images, "MOST_PIXELS", 47)
    assert "must have at most 47 pixels" in refusal(write(GREY))


def test_all_images_together_have_a_bound(write, monkeypatch):
    monkeypatch.setattr(images, "MOST_BYTES", 600)
    file = write(GREY)
    assert read(file, file, size=10, channels=3).nbytes == 600
    message = refusal(file, file, file, size=10, channels=3, error=ConfigError)
    assert message == (
        "data.size must be smaller, got 10: all images make 900 bytes, at most 600 fit"
    )


WHOLE = {
    ".png": png_of(COLOUR),
    ".jpg": (lambda file: (Image.fromarray(COLOUR).save(file, "JPEG"), file.getvalue())[1])(
        io.BytesIO()
    ),
}


@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=4)), max_size=3),
    st.integers(1, 3000),
)
def test_a_damaged_image_is_decoded_or_refused(tmp_path_factory, suffix, changes, length):
    content = bytearray(WHOLE[suffix])
    for place, new in changes:
        place %= len(content)
        content[place : place + len(new)] = new
    path = tmp_path_factory.mktemp("images") / f"{CANARY}{suffix}"
    path.write_bytes(content[:length])
    try:
        decoded = read(path, size=4, channels=3)
    except DataError:
        refusal(path, size=4, channels=3)  # in one line without the name
    else:
        assert decoded.shape == (1, 3, 4, 4)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 2**32))
def test_copies_are_one_patient_and_the_order_is_the_content_s(kinds, seed):
    kinds = np.array(kinds)
    pixels = np.random.default_rng(5).integers(0, 256, (4, 3, 2, 2), dtype=np.uint8)
    codes = distinct_images(pixels[kinds])
    assert len(set(zip(kinds.tolist(), codes.tolist(), strict=True))) == len(set(kinds.tolist()))
    assert sorted(set(codes.tolist())) == list(range(len(set(kinds.tolist()))))
    order = np.random.default_rng(seed).permutation(len(kinds))
    assert distinct_images(pixels[kinds][order]).tolist() == codes[order].tolist()
