"""Light of galaxies on a grid of pixels, and the camera that photographs it. Needs numpy only.

Lengths are in units of R90, the radius that holds 90 % of a galaxy's light; the frame is 4.48 R90
wide, as in a 224-pixel crop of a Galaxy Zoo 2 image, where R90 is 50 pixels. Light is linear,
(H, W) or (3, H, W) in RGB, float32; only `photograph` turns it into bytes.

Letters: H = W = pixels per side of the grid, K = number of Gaussian spots.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Light = NDArray[np.floating]

FRAME_PX = 224
R90_PX = 50
HALF_WIDTH = FRAME_PX / R90_PX / 2

# Found by fitting mean and spread of 2,000 rendered images to those of the 99,808 real ones.
GAIN = 0.25
SOFTENING = 2.8
BACKGROUND = (0.016, 0.020, 0.008)
SKY_SIGMA = 0.017


@dataclass(frozen=True)
class Plane:
    """Coordinates (H, W) of every pixel in a galaxy's own plane: `u` along its major axis."""

    u: Light
    v: Light

    @classmethod
    def frame(cls, pixels: int) -> "Plane":
        u, v = np.meshgrid(_axis(pixels), _axis(pixels))
        return cls(u, v)

    def turned(self, angle: float, ratio: float = 1.0) -> "Plane":
        """The plane rotated by `angle` (radian), tilted until a circle has this axis ratio."""
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        return Plane(cos * self.u + sin * self.v, (cos * self.v - sin * self.u) / np.float32(ratio))

    def placed(self, centre: NDArray, scale: float = 1.0) -> "Plane":
        """The plane with its origin at `centre` (2,) and its unit `scale` times as long."""
        x, y = centre.astype(np.float32)
        return Plane((self.u - x) / np.float32(scale), (self.v - y) / np.float32(scale))

    @property
    def radius(self) -> Light:
        # Never zero: profiles take logarithms of it, or have cusps there.
        return np.sqrt(self.u**2 + self.v**2 + np.float32(4e-4))


def _axis(pixels: int) -> Light:
    """The places of the centres of a row of pixels."""
    return ((np.arange(pixels, dtype=np.float32) + 0.5) * (2 / pixels) - 1) * HALF_WIDTH


def unit(light: Light) -> Light:
    """`light` scaled to a total of one."""
    return light / light.sum()


def sersic(plane: Plane, effective_radius: float, index: float) -> Light:
    """Sersic (1963) profile of unit flux: index 1 is a disc, 4 an elliptical galaxy."""
    b = 2 * index - 1 / 3 + 4 / (405 * index)
    return unit(np.exp(-b * (plane.radius / effective_radius) ** np.float32(1 / index)))


def edge_on_disc(plane: Plane, length: float, height: float) -> Light:
    """Exponential disc seen from the side: exp(-u / length) sech^2(v / height), unit flux."""
    across = np.minimum(np.abs(plane.v) / np.float32(height), 20)
    along = np.sqrt(plane.u**2 + np.float32((0.5 * length) ** 2)) / np.float32(length)
    return unit(np.exp(-along) / np.cosh(across) ** 2)


def bar(plane: Plane, length: float, width: float) -> Light:
    """A bar with blunt ends along `u`: quartic Gaussian along, Gaussian across, unit flux."""
    along, across = plane.u / np.float32(length), plane.v / np.float32(width)
    return unit(np.exp(-(along**4) - across**2))


def arms(plane: Plane, count: int, pitch: float, start: float, sharpness: float) -> Light:
    """Logarithmic spiral arms, 0..1, that leave the `u` axis at radius `start`.

    `pitch` is in radian, its sign is the sense of winding; inside `start` the arms fade out.
    """
    radius = plane.radius
    winding = np.log(radius / np.float32(start)) / np.float32(np.tan(pitch))
    wave = np.cos(count * (np.arctan2(plane.v, plane.u) - winding))
    inner = 1 - np.exp(-((radius / np.float32(start)) ** 4))
    return inner * np.exp(np.float32(sharpness) * (wave - 1))


def spots(pixels: int, centres: NDArray, sigmas: NDArray, weights: NDArray) -> Light:
    """Sum of K round Gaussians of the given total light, (H, W) or (3, H, W).

    `centres` (K, 2), `sigmas` (K,), `weights` (K,) or (K, 3); none is narrower than half a pixel.
    """
    axis = _axis(pixels)
    pixel = 2 * HALF_WIDTH / pixels
    widths = np.maximum(sigmas, pixel / 2)[:, None]
    across, down = (
        np.exp(-(((axis - centres[:, i : i + 1]) / widths) ** 2) / 2) * (pixel / widths)
        for i in (0, 1)
    )
    weighted = across * weights.T[..., None] / (2 * math.pi)
    return (down.T @ weighted).astype(np.float32)


def blur(light: Light, fwhm_px: float) -> Light:
    """Atmosphere and telescope: a Gaussian with this width at half maximum, in pixels of 224."""
    pixels = light.shape[-1]
    sigma = max(fwhm_px / 2.355 * pixels / FRAME_PX, 0.2)
    offsets = np.arange(pixels)
    kernel = np.exp(-(((offsets[:, None] - offsets) / sigma) ** 2) / 2).astype(np.float32)
    kernel /= kernel.sum(axis=1, keepdims=True)
    return kernel @ light @ kernel.T


def stretch(light: Light) -> Light:
    """Arcsinh stretch of light to brightness 0..1 that keeps the colour (Lupton et al. 2004)."""
    intensity = np.maximum(light.mean(axis=0), 1e-6) * np.float32(SOFTENING)
    picture = np.float32(GAIN) * light * (np.arcsinh(intensity) / intensity)
    return picture / np.maximum(picture.max(axis=0), 1)


def exposed(light: Light, brightness: float) -> Light:
    """Light scaled until the mean of its `stretch` is about `brightness`."""
    for _ in range(4):
        light = light * np.float32((brightness / stretch(light).mean()) ** 1.4)
    return light


def photograph(light: Light, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The picture (H, W, 3) that a camera with noise makes of light on a dark sky."""
    noise = rng.standard_normal(light.shape, np.float32) * np.float32(SKY_SIGMA / GAIN)
    picture = stretch(light + noise) + np.array(BACKGROUND, np.float32)[:, None, None]
    return (picture.clip(0, 1) * 255 + 0.5).astype(np.uint8).transpose(1, 2, 0)
