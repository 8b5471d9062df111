"""Decoding: every kind of image becomes what a person would see, or an error that says why."""

import io

import numpy as np
import pytest
from PIL import Image

from trainables.data.decode import DecodeError, decode, shorter_side

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
