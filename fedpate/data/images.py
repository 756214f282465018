"""Images as arrays: decoding within bounds, and telling copies from each other.

Bounds of what is decoded, whatever a file says: the PNG and JPEG decoders only, at most
`MOST_PIXELS` in one image (by its header, before anything is decoded), at most `MOST_BYTES` in all.
The name of an image may be a patient's, so no message has one: images are counted.

Pillow is imported when it is used: the configuration imports every source to know its fields.
"""

import hashlib
import struct
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fedpate.errors import ConfigError, DataError
from fedpate.records import Ints

SUFFIXES = (".png", ".jpg", ".jpeg")
MOST_PIXELS = 2**26  # 8,192 x 8,192: above any plain X-ray
MOST_BYTES = 2**33
CHANNELS = {1: "L", 3: "RGB"}  # and what Pillow calls them
_DECODERS = ("PNG", "JPEG")
_PNG = b"\x89PNG\r\n\x1a\n"
_DEPTH_AT = 24  # byte of a PNG file that tells the bits per value


class _Unfit(Exception):  # noqa: N818 - the rule that an image breaks
    """Becomes a DataError that says which image it was."""


def read_images(
    files: Sequence[Path], order: str, *, size: int | None, channels: int
) -> npt.NDArray[np.uint8]:
    """Decode PNG and JPEG files to one array.

    Every image is turned upright by its EXIF tag, converted to grey or RGB, and resized (bilinear,
    without keeping the aspect ratio). More than 8 bits for each value are refused: to convert them
    takes a choice of window.

    Args:
      files: at least one.
      order: of the files, in words: messages say "image 3 of 10, ORDER".
      size: height and width to resize to; None takes images as they are, all of one size.
      channels: one of `CHANNELS`.

    Returns:
      (n_images, channels, height, width).

    Raises:
      DataError: an image that is damaged, too large, too deep or of another size than the first.
      ConfigError: so many images of such a size do not fit.
    """
    from PIL import Image

    broken = (
        *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error),
        *(Image.DecompressionBombError, Image.DecompressionBombWarning),
    )
    images = np.empty((0, channels, 0, 0), dtype=np.uint8)
    for index, file in enumerate(files):
        try:
            pixels = _pixels(file, size, channels)
            if index == 0:
                _require_room(len(files) * pixels.size, size)
                images = np.empty((len(files), *pixels.shape), dtype=np.uint8)
            elif pixels.shape != images.shape[1:]:
                raise _Unfit("must be of the size of the first one; or set data.size")
        except ConfigError:
            raise
        except _Unfit as unfit:
            rule = str(unfit)
        except broken as error:
            rule = f"must be a whole PNG or JPEG image ({type(error).__name__})"
        else:
            images[index] = pixels
            continue
        raise DataError(f"data.path: image {index + 1} of {len(files)}, {order}, {rule}")
    return images


def _pixels(file: Path, size: int | None, channels: int) -> npt.NDArray[np.uint8]:
    """(channels, height, width)."""
    from PIL import Image, ImageOps

    with file.open("rb") as stream, warnings.catch_warnings():
        head = stream.read(_DEPTH_AT + 1)
        if head.startswith(_PNG) and head[_DEPTH_AT:] > b"\x08":
            raise _Unfit("must have 8 bits for each value")  # Pillow would cut off the others
        warnings.simplefilter("ignore")  # it quotes metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        stream.seek(0)
        with Image.open(stream, formats=_DECODERS) as opened:
            if opened.width * opened.height > MOST_PIXELS:
                raise _Unfit(f"must have at most {MOST_PIXELS} pixels")
            image = ImageOps.exif_transpose(opened).convert(CHANNELS[channels])
        if size is not None:
            image = image.resize((size, size), Image.Resampling.BILINEAR)
        return np.asarray(image).reshape(image.height, image.width, channels).transpose(2, 0, 1)


def _require_room(n_bytes: int, size: int | None) -> None:
    if n_bytes > MOST_BYTES:
        raise ConfigError(
            f"data.size must be smaller, got {size}: all images make {n_bytes} bytes, "
            f"at most {MOST_BYTES} fit"
        )


def distinct_images(images: npt.NDArray[np.uint8]) -> Ints:
    """One code for each distinct image: copies of an image are the same patient's.

    Codes are places in the order of a 64-bit hash of the pixels: the same images have the same
    order in every file, and it tells nothing about what they show. That two different images have
    one hash has a probability below 1e-8 for 300,000 of them, and would make one patient of two.

    Args:
      images: (n, channels, height, width).

    Returns:
      (n,) codes in [0, number of distinct images).
    """
    digests = b"".join(hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in images)
    _, code = np.unique(np.frombuffer(digests, dtype=">u8"), return_inverse=True)
    return code.reshape(-1).astype(np.int64)
