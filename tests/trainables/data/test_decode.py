"""Decoding: every kind of image becomes what a person would see, or an error that says why."""

import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
from PIL import Image

from trainables.data.decode import DecodeError, decode, peak, shorter_side

RAMP = np.linspace(0, 65_535, 256 * 256).round().astype(np.uint16).reshape(256, 256)


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def corners(side: int = 8) -> Image.Image:
    """Red, green over blue, white: a quarter of the square each."""
    pixels = np.zeros((side, side, 3), np.uint8)
    half = side // 2
    pixels[:half, :half, 0] = pixels[:half, half:, 1] = pixels[half:, :half, 2] = 255
    pixels[half:, half:] = 255
    return Image.fromarray(pixels)


def test_native_size_is_exact():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    result = decode(encoded(Image.fromarray(pixels)), 9)
    assert result.dtype == np.uint8
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_formats(kind):
    result = decode(encoded(Image.new("RGB", (32, 32), (200, 100, 50)), kind), 16)
    assert result.shape == (3, 16, 16)
    assert np.abs(result.mean(axis=(1, 2)) - (200, 100, 50)).max() < 8


@pytest.mark.parametrize("mode", ["I;16", "I", "I;16B"])
def test_sixteen_bits_are_scaled_not_clipped(mode):
    image = Image.fromarray(RAMP.astype({"I;16": "<u2", "I": "<i4", "I;16B": ">u2"}[mode]))
    assert image.mode == mode
    result = decode(encoded(image, "PNG" if mode == "I;16" else "TIFF"), 256)
    assert len(np.unique(result)) > 200
    np.testing.assert_array_equal(result[0], (RAMP / 257).round().astype(np.uint8))


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("mode", ["I;16", "I", "I;16B"])
def test_fewer_bits_in_sixteen(mode, bits):
    """A camera of 12 bits wrote its values as they were: nearly all of their levels are seen."""
    ramp = (RAMP >> (16 - bits)).astype({"I;16": "<u2", "I": "<i4", "I;16B": ">u2"}[mode])
    data = encoded(Image.fromarray(ramp), "PNG" if mode == "I;16" else "TIFF")
    assert peak(data) == 2**bits - 1
    result = decode(data, 256, bits)
    assert len(np.unique(result)) == 256
    wanted = (ramp.astype(float) * 255 / (2**bits - 1)).round()
    assert np.abs(result[0] - wanted).max() <= 1
    assert decode(data, 256, 8).max() == 255  # what is above white is white


# first row and column, and step, of each pass of an interlaced PNG
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2))
ADAM7 += ((1, 0, 2, 1),)


def sixteen_bit_png(
    pixels: np.ndarray, colour_type: int, *more: tuple[bytes, bytes], interlaced: bool = False
) -> bytes:
    height, width = pixels.shape[:2]
    passes = [pixels[y::dy, x::dx] for y, x, dy, dx in ADAM7] if interlaced else [pixels]
    rows = [row for part in passes if part.size for row in part]
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in rows)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, interlaced)
    chunks = [(b"IHDR", header), *more, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, *zip(*chunks, strict=True)))


def chunk(kind: bytes, content: bytes) -> bytes:
    checked = kind + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def sixteen_bit_tiff(pixels: np.ndarray, order: str, compression: int) -> bytes:
    """Uncompressed (1) or deflated (8), in the order "<" or ">" of bytes."""
    height, width, channels = pixels.shape
    data = pixels.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if compression == 8 else data
    depths = struct.pack(f"{order}{channels}H", *[16] * channels)
    count = 10 if channels == 4 else 9
    place = 8 + 2 + 12 * count + 4
    tags = [(256, 1, width), (257, 1, height), (258, channels, place), (259, 1, compression)]
    tags += [(262, 1, 2), (273, 1, place + len(depths)), (277, 1, channels), (278, 1, height)]
    tags += [(279, 1, len(data))] + [(338, 1, 2)] * (channels == 4)
    ifd = b"".join(struct.pack(f"{order}HHII", tag, 4, *rest) for tag, *rest in tags[:2])
    for tag, number, value in tags[2:]:
        short = tag not in (273, 279)
        kind, layout = (3, "HH") if short and number == 1 else (3 if short else 4, "I")
        ifd += struct.pack(f"{order}HHI{layout}", tag, kind, number, *([value, 0][: len(layout)]))
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, count)
    return start + ifd + struct.pack(f"{order}I", 0) + depths + data


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", ["png", "<1", "<8", ">1", ">8"])
def test_colours_of_sixteen_bits_keep_their_lower_byte(kind, channels):
    pixels = np.random.default_rng(0).integers(0, 4096, (16, 16, channels), np.uint16)
    pixels[0, 0] = 4095
    if channels == 4:
        pixels[..., 3] = 65_535
    colour_type = 2 if channels == 3 else 6
    if kind == "png":
        data = sixteen_bit_png(pixels, colour_type)
    else:
        data = sixteen_bit_tiff(pixels, kind[0], int(kind[1]))
    assert peak(data) == 4095
    seen = decode(data, 16, 12).transpose(1, 2, 0)
    assert np.abs(seen - pixels[..., :3] * 255.0 / 4095).max() <= 1
    assert decode(data, 16).max() == 4095 // 256  # the whole range, where that is asked for


@pytest.mark.parametrize("interlaced", [False, True])
def test_grey_of_sixteen_bits_with_transparency_keeps_its_lower_byte(interlaced):
    pixels = np.random.default_rng(0).integers(0, 4096, (16, 16, 2), np.uint16)
    pixels[0, 0], pixels[..., 1] = 4095, 65_535
    data = sixteen_bit_png(pixels, 4, interlaced=interlaced)
    assert peak(data) == 4095
    seen = decode(data, 16, 12)
    assert np.abs(seen - pixels[..., 0] * 255.0 / 4095).max() <= 1
    assert decode(data, 16).max() == 4095 // 256


def test_eight_bits_have_no_peak():
    for kind in ("PNG", "JPEG", "TIFF", "GIF"):
        data = encoded(corners(), kind)
        assert peak(data) is None
        np.testing.assert_array_equal(decode(data, 8), decode(data, 8, 12))


def test_thirty_two_bit_and_float_pixels_are_refused():
    wide = Image.fromarray(np.full((4, 4), 70_000, np.int32))
    with pytest.raises(DecodeError, match="32-bit pixels have no known range"):
        decode(encoded(wide, "TIFF"), 4)
    with pytest.raises(DecodeError, match="floating-point pixels have no known range"):
        decode(encoded(Image.new("F", (4, 4)), "TIFF"), 4)


def test_transparency_is_on_black():
    image = Image.new("RGBA", (4, 4), (200, 100, 0, 128))
    np.testing.assert_allclose(decode(encoded(image), 4)[:, 0, 0], (100, 50, 0), atol=1)
    grey = Image.new("LA", (4, 4), (200, 0))
    assert decode(encoded(grey), 4).max() == 0


def test_palette_with_and_without_transparency():
    palette = corners().quantize(4)
    np.testing.assert_array_equal(decode(encoded(palette), 8), decode(encoded(corners()), 8))
    red = palette.getpixel((0, 0))
    holed = decode(encoded(palette, transparency=red), 8)
    assert holed[:, 0, 0].tolist() == [0, 0, 0]
    assert holed[:, 0, 7].tolist() == [0, 255, 0]


def test_one_bit_and_grey():
    assert decode(encoded(Image.new("1", (4, 4), 1)), 4).min() == 255
    assert decode(encoded(Image.new("L", (4, 4), 77)), 4).tolist() == [[[77] * 4] * 4] * 3


def test_cmyk_jpeg():
    result = decode(encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG"), 16)
    np.testing.assert_allclose(result[:, 8, 8], (255, 0, 0), atol=6)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "subsampling": 0}}
    data = encoded(corners(16), kind, exif=exif, **lossless.get(kind, {}))
    upright = np.asarray(corners(16).transpose(Image.Transpose.ROTATE_270)).transpose(2, 0, 1)
    assert np.abs(decode(data, 16).astype(int) - upright)[:, 2::4, 2::4].max() < 40


BAD_EXIF = {
    "a division by zero": [(0x112, 3, 1, (6, 0)), (0x11A, 10, 1, None)],
    "a type that is none": [(0x112, 3, 1, (6, 0)), (0x11A, 77, 1, (0, 0))],
    "values outside": [(0x112, 3, 1, (6, 0)), (0x8769, 4, 1, (0xFFFF, 0xFFFF))],
    "an orientation that is none": [(0x112, 3, 1, (99, 0))],
    "an orientation of texts": [(0x112, 2, 4, (0x6161, 0x61))],
    "nothing": None,
}


@pytest.mark.parametrize("fault", BAD_EXIF)
def test_a_fault_in_exif_is_none_of_the_image(fault):
    entries = BAD_EXIF[fault]
    tags = b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries or []))
    for tag, kind, count, value in entries or []:
        at = 8 + 2 + 12 * len(entries) + 4
        place = struct.pack("<I", at) if value is None else struct.pack("<HH", *value)
        tags += struct.pack("<HHI", tag, kind, count) + place
    tags += b"\0" * 4 + struct.pack("<ii", -1, 0)
    exif = b"Exif\0\0" + (tags if entries else b"")
    plain = encoded(corners(16), "JPEG", quality=95, subsampling=0)
    marked = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
    png = encoded(corners(16), "PNG", exif=exif)
    webp = encoded(corners(16), "WEBP", exif=exif, lossless=True)
    for data in (marked, png, webp):
        turned = bool(entries) and entries[0] == (0x112, 3, 1, (6, 0))
        upright = corners(16).transpose(Image.Transpose.ROTATE_270) if turned else corners(16)
        seen = decode(data, 16).astype(int) - np.asarray(upright).transpose(2, 0, 1)
        assert np.abs(seen)[:, 2::4, 2::4].max() < 40, fault


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("kind", [b"iTXt", b"zTXt", b"tEXt", b"iCCP", b"eXIf"])
def test_metadata_of_any_size_are_no_reason(kind, after):
    """More than Pillow reads, before or after the pixels; damage in them is none either."""
    text = b"a" * 3_000_000
    contents = {
        b"iTXt": b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(text),
        b"zTXt": b"Comment\0\0" + zlib.compress(text),
        b"tEXt": b"Comment\0" + text,
        b"iCCP": b"profile\0\0" + zlib.compress(text),
        b"eXIf": b"II*\0" + text,
    }
    whole = encoded(corners())
    cut = whole.index(b"IEND" if after else b"IDAT") - 4
    added = chunk(kind, contents[kind])
    data = whole[:cut] + added + whole[cut:]
    np.testing.assert_array_equal(decode(data, 8), decode(whole, 8))
    assert shorter_side(data) == 8
    if kind != b"eXIf":
        damaged = whole[:cut] + added[:-4] + b"\0\0\0\0" + whole[cut:]
        np.testing.assert_array_equal(decode(damaged, 8), decode(whole, 8))


def test_what_pillow_warns_of_is_not_printed():
    """Its warnings name files of this machine; what cannot be decoded is an error anyway."""
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHII", 9, 0x11A, 5, 1, 9_999)
    wide = encoded(Image.new("1", (10_000, 9_000)))
    code = (
        "import sys; from trainables.data.decode import DecodeError, decode\n"
        "for data in map(bytes.fromhex, sys.stdin.read().split()):\n"
        "    try: decode(data, 8)\n"
        "    except DecodeError as error: pass\n"
    )
    plain = encoded(corners(), "JPEG")
    marked = plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]
    done = subprocess.run(
        [sys.executable, "-c", code],
        input="\n".join(data.hex() for data in (marked, wide)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    red, _, blue = decode(data, 8)[:, 4, 4]
    assert red > 250
    assert blue < 5


def test_square_is_cut_from_the_centre():
    pixels = np.zeros((4, 10, 3), np.uint8)
    pixels[:, 3:7] = 255
    assert decode(encoded(Image.fromarray(pixels)), 4).min() == 255
    assert shorter_side(encoded(Image.fromarray(pixels))) == 4


def test_shrinking_does_not_alias():
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(decode(encoded(Image.fromarray(stripes)), 16).astype(int) - 128).max() < 6


def test_enlarging_is_smooth_and_one_pixel_is_enough():
    step = np.zeros((2, 2, 3), np.uint8)
    step[:, 1] = 255
    assert len(np.unique(decode(encoded(Image.fromarray(step)), 32)[0, 0])) > 8
    assert decode(encoded(Image.new("RGB", (1, 1), "white")), 5).min() == 255


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_truncated(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(DecodeError, match=r"\w"):
        decode(data[: len(data) // 2], 32)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no bytes"),
        (None, "no bytes"),
        (b"garbage" * 9, "not an image of the formats PNG, JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image of the formats"),
    ],
)
def test_no_image(data, reason):
    with pytest.raises(DecodeError, match=reason):
        decode(data, 8)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [8_001, 10_000, 15_000])
def test_bomb_is_refused_before_it_is_decoded(side, monkeypatch):
    bomb = encoded(Image.new("1", (side, side)))

    def load(_):
        raise AssertionError("decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(DecodeError, match="pixels"):
        decode(bomb, 8)
