"""A PNG without its metadata: texts and colour profiles of any size are no reason to refuse it."""

import struct

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = (b"IHDR", b"PLTE", b"tRNS", b"eXIf", b"IDAT", b"IEND")


def without_metadata(encoded: bytes) -> bytes | None:
    """The chunks that say what is seen; None if this is no PNG, or has no others."""
    if not encoded.startswith(SIGNATURE):
        return None
    kept, start, end = [SIGNATURE], len(SIGNATURE), 0
    while start + 8 <= len(encoded):
        length, kind = struct.unpack_from(">I4s", encoded, start)
        end = start + length + 12
        if kind in PIXELS:
            kept.append(encoded[start:end])
        start = end
    bare = b"".join(kept)
    return bare if len(bare) < len(encoded) else None
