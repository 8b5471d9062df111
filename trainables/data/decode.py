"""From an encoded image to RGB pixels of the size a model takes.

What is stored is turned into what a person would see: EXIF orientation is applied, transparency is
put on black, 16 bits (or as many of them as are used) are scaled to 8, palettes, CMYK and grey
become RGB. Then the largest centred square is cut out and resized with Pillow's bicubic filter,
whose support grows when an image shrinks (so it does not alias) and which enlarges smoothly; BOX
would show blocks when enlarging, LANCZOS rings at the hard edges of digits.
"""

import io
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import WHOLE
from trainables.data.deep_pixels import is_deep, values
from trainables.data.png import without_metadata

if TYPE_CHECKING:
    from PIL.Image import Image

# Must change when the same bytes would give other pixels: it keeps decoded caches apart.
DECODE_VERSION = 2
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
MAX_PIXELS = 64_000_000
ORIENTATION = 0x0112

T = TypeVar("T")

# They name files of this machine, and no image: what cannot be decoded is an error anyway.
warnings.filterwarnings("ignore", module=r"PIL\.")


class DecodeError(ValueError):
    """An image cannot be decoded correctly; the message says why."""


def decode(encoded: bytes | None, size: int, bits: int = WHOLE) -> NDArray[np.uint8]:
    """RGB bytes (3, size, size) of an encoded image; of an animation, its first frame.

    Of 16-bit pixels, `bits` are used: 2**bits - 1 is white, and so is what is above. Raises
    DecodeError with the reason: no bytes, another format, truncated, more than 64 million pixels
    (looked at before anything is decoded), or pixels whose range is unknown.
    """
    return _read(encoded, lambda plain: _pixels(plain, size, bits))


def shorter_side(encoded: bytes | None) -> int:
    """Pixels of an encoded image's shorter side, from its header."""
    return _read(encoded, lambda plain: min(_opened(plain).size))


def peak(encoded: bytes | None) -> int | None:
    """The highest pixel of a 16-bit image, transparency aside; None for other images."""
    if not encoded or not is_deep(encoded):
        return None
    found = _read(encoded, lambda plain: values(_opened(plain), plain))
    return None if found is None else int(found[..., :3].max() if found.ndim == 3 else found.max())


def _read(encoded: bytes | None, work: Callable[[bytes], T]) -> T:
    """What `work` makes of an image; of a PNG whose metadata cannot be read, without them."""
    try:
        return work(encoded or b"")
    except Exception as error:
        # Hostile bytes raise nearly anything inside Pillow; all of it means the same here.
        if bare := without_metadata(encoded or b""):
            with suppress(Exception):
                return work(bare)
        if isinstance(error, DecodeError):
            raise
        raise DecodeError(str(error).rstrip(".") or type(error).__name__) from error


def _pixels(encoded: bytes, size: int, bits: int) -> NDArray[np.uint8]:
    from PIL import Image

    opened = _opened(encoded)
    image = _square(_upright(_to_rgb(opened, encoded, bits), opened))
    if image.width != size:
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))


def _opened(encoded: bytes) -> "Image":
    from PIL import Image, UnidentifiedImageError

    if not encoded:
        raise DecodeError("no bytes")
    try:
        image = Image.open(io.BytesIO(encoded), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise DecodeError(f"not an image of the formats {', '.join(FORMATS)}") from error
    if image.width * image.height > MAX_PIXELS:
        raise DecodeError(
            f"{image.width} x {image.height} pixels, more than {MAX_PIXELS // 1_000_000} million"
        )
    return image


def _upright(rgb: "Image", opened: "Image") -> "Image":
    """Pixels as the EXIF orientation of their file says; EXIF that cannot be read says nothing."""
    from PIL import Image

    turns = Image.Transpose
    methods = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }
    method = None
    with suppress(Exception):  # as hostile as pixels are
        method = methods.get(opened.getexif().get(ORIENTATION, 1))
    return rgb if method is None else rgb.transpose(method)


def _to_rgb(image: "Image", encoded: bytes, bits: int) -> "Image":
    from PIL import Image

    if image.mode == "F":
        raise DecodeError("floating-point pixels have no known range; store 8 or 16 bits")
    if image.mode.startswith("I") or (bits < WHOLE and is_deep(encoded)):
        image = _eight_bits(image, encoded, bits)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, rgba).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: "Image", encoded: bytes, bits: int) -> "Image":
    """An image of 16 bits with pixels scaled to 8; any other as it is."""
    from PIL import Image

    deep = values(image, encoded)
    if deep is None:
        return image
    if deep.min() < 0 or deep.max() > 65_535:
        raise DecodeError("32-bit pixels have no known range; store 8 or 16 bits")
    white = np.full(deep.shape[2:], 2**bits - 1, np.uint32)
    if image.mode == "RGBA" and deep[..., 3].max() > white[3]:
        white[3] = 65_535  # what is opaque is so whatever the camera's range
    scaled = (np.minimum(deep, white).astype(np.uint32) * 255 + white // 2) // white
    mode = "L" if deep.ndim == 2 else image.mode
    return Image.frombytes(mode, image.size, scaled.astype(np.uint8).tobytes())


def _square(image: "Image") -> "Image":
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
