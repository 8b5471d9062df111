"""The chunks of a PNG: it without its metadata, and its pixels read another way."""

import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_INTERLACED = 28  # where the first chunk says so
PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")


def without_metadata(encoded: bytes) -> bytes | None:
    """The chunks that say what is seen; None if this is no PNG, or has no others.

    Texts and colour profiles of any size are no reason to refuse an image.
    """
    if not encoded.startswith(SIGNATURE):
        return None
    bare = SIGNATURE + b"".join(chunk for kind, chunk in _chunks(encoded) if kind in PIXELS)
    return bare if len(bare) < len(encoded) else None


def bytes_as_channels(encoded: bytes, size: tuple[int, int]) -> "Image":
    """Each of the four bytes of a pixel as a channel, for two channels of 16 bits."""
    from PIL import Image

    packed = b"".join(chunk[8:-4] for kind, chunk in _chunks(encoded) if kind == b"IDAT")
    interlaced = encoded[_INTERLACED]
    return Image.frombytes("RGBA", size, packed, "zip", "RGBA", interlaced)


def _chunks(encoded: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk with its kind, as far as there are whole ones."""
    start = len(SIGNATURE)
    while start + 8 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, start)
        yield kind, encoded[start : (start := start + length + 12)]
