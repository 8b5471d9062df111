"""From an encoded image to RGB pixels of the size a model takes.

What is stored is turned into what a person would see: EXIF orientation is applied, transparency is
put on black, 16 bits are scaled to 8, palettes, CMYK and grey become RGB. Then the largest centred
square is cut out and resized with Pillow's bicubic filter, whose support grows when an image
shrinks (so it does not alias) and which enlarges smoothly; BOX would show blocks when enlarging,
LANCZOS rings at the hard edges of digits.
"""

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

# Must change when the same bytes would give other pixels: it keeps decoded caches apart.
DECODE_VERSION = 1
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
MAX_PIXELS = 64_000_000


class DecodeError(ValueError):
    """An image cannot be decoded correctly; the message says why."""


def decode(encoded: bytes | None, size: int) -> NDArray[np.uint8]:
    """RGB bytes (3, size, size) of an encoded image; of an animation, its first frame.

    Raises DecodeError with the reason: no bytes, another format, truncated, more than 64 million
    pixels (looked at before anything is decoded), or pixels whose range is unknown.
    """
    from PIL import Image

    try:
        image = _square(_to_rgb(_upright(_opened(encoded))))
        if image.width != size:
            image = image.resize((size, size), Image.Resampling.BICUBIC)
        return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
    except DecodeError:
        raise
    except Exception as error:
        # Hostile bytes raise nearly anything inside Pillow; all of it means the same here.
        raise DecodeError(str(error).rstrip(".") or type(error).__name__) from error


def shorter_side(encoded: bytes | None) -> int:
    """Pixels of an encoded image's shorter side, from its header."""
    return min(_opened(encoded).size)


def _opened(encoded: bytes | None) -> "Image":
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


def _upright(image: "Image") -> "Image":
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _to_rgb(image: "Image") -> "Image":
    from PIL import Image

    if image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(image)).convert("RGB")
    if image.mode == "F":
        raise DecodeError("floating-point pixels have no known range; store 8 or 16 bits")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        return Image.alpha_composite(black, rgba).convert("RGB")
    return image.convert("RGB")


def _eight_bits(image: "Image") -> NDArray[np.uint8]:
    pixels = np.asarray(image)
    if pixels.min() < 0 or pixels.max() > 65_535:
        raise DecodeError("32-bit pixels have no known range; store 8 or 16 bits")
    return ((pixels.astype(np.uint32) * 255 + 32_767) // 65_535).astype(np.uint8)


def _square(image: "Image") -> "Image":
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
