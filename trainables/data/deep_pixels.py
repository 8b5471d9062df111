"""Pixels of 16 bits: what their values are, and what is white.

Cameras and microscopes write 10, 12 or 14 bits into files of 16. Pillow keeps 16 bits of grey
pixels and the upper byte of others; the lower byte is had by reading coloured ones the other way
round, and grey ones with transparency byte by byte.

H, W = pixels, C = channels.
"""

import io
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import WHOLE
from trainables.data.png import bytes_as_channels

if TYPE_CHECKING:
    from PIL.Image import Image

BITS = (8, 10, 12, 14, WHOLE)
OTHER_BYTE = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


def bits_for(peak: int) -> int:
    """The fewest of 8, 10, 12, 14 and 16 bits that hold pixels up to `peak`."""
    return next(bits for bits in BITS if peak < 2**bits)


def is_deep(encoded: bytes) -> bool:
    """Whether an encoded image may have pixels of 16 bits, by its first bytes: a quick look."""
    if encoded.startswith(b"\x89PNG"):
        return encoded[24:25] == b"\x10"
    return encoded[:4] in (b"II*\0", b"MM\0*")


def values(image: "Image", encoded: bytes) -> NDArray[np.integer] | None:
    """The values (H, W) or (H, W, C) of a 16-bit image that is just opened; None if it is none."""
    if image.mode.startswith("I"):
        return np.asarray(image)
    raw_mode = _raw_mode(image)
    if ";16" not in raw_mode:
        return None
    if raw_mode == "LA;16B" and image.format == "PNG":  # which Pillow makes RGBA
        halves = np.asarray(bytes_as_channels(encoded, image.size)).astype(np.uint16)
        return (halves[..., ::2] << 8 | halves[..., 1::2])[..., [0, 0, 0, 1]]
    upper = np.asarray(image).astype(np.uint16)
    return upper << 8 | _lower(encoded, image.format, raw_mode)


def _raw_mode(image: "Image") -> str:
    """How the pixels are stored, as Pillow's decoders are told."""
    tiles = getattr(image, "tile", ())
    return _told(tiles[0])[0] if tiles else ""


def _told(tile: Any) -> tuple[str, ...]:
    """What a decoder is told: how pixels are stored, and more of other formats than PNG."""
    found = (tile.args,) if isinstance(tile.args, str) else tuple(tile.args or ())
    return found if found and isinstance(found[0], str) else ("",)


def _lower(encoded: bytes, kind: str | None, raw_mode: str) -> NDArray[np.uint16] | int:
    """The lower bytes; their middle where Pillow has no way to them."""
    from PIL import Image

    layout, _, order = raw_mode.partition(";")
    other = f"{layout};{OTHER_BYTE[order]}"
    image: Any = Image.open(io.BytesIO(encoded), formats=[kind or ""])
    image.tile = [
        tile._replace(args=other if isinstance(tile.args, str) else (other, *_told(tile)[1:]))
        for tile in image.tile
    ]
    try:
        return np.asarray(image).astype(np.uint16)
    except ValueError:  # unknown raw mode
        return 128
