"""How the eight classes of Galaxy Zoo 2 look: each function draws the light of a random galaxy.

The shapes follow the real images and what people and networks confuse in them: faint bars, weak
arms, thick discs and thin ellipticals overlap on purpose. Every function takes the random generator
`rng` and a `Plane` whose `u` is the galaxy's major axis, and returns light (3, H, W); the caller
sets its total and its mean colour.

Letters: H = W = pixels per side of the grid.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from trainables.data import sky
from trainables.data.sky import Light, Plane

_RED = np.array([1.32, 0.94, 0.53], np.float32)
_BLUE = np.array([0.95, 0.89, 1.03], np.float32)


def colour(redness: float | NDArray) -> Light:
    """Weights (..., 3) of red, green and blue; 0 is a young blue galaxy, 1 an old red one."""
    return _BLUE + np.asarray(redness, np.float32)[..., None] * (_RED - _BLUE)


def _tinted(light: Light, redness: float) -> Light:
    return colour(redness)[:, None, None] * light


def field(rng: np.random.Generator, pixels: int) -> Light:
    """Stars and small neighbours around a galaxy; their brightness does not depend on its class."""
    stars = rng.poisson(1.2)
    neighbours = rng.poisson(0.4)
    count = stars + neighbours
    distance = rng.uniform(0.9, 1.35 * sky.HALF_WIDTH, count)
    angle = rng.uniform(0, 2 * math.pi, count)
    centres = np.stack([distance * np.cos(angle), distance * np.sin(angle)], axis=1)
    sigmas = np.where(np.arange(count) < stars, 0.0, rng.uniform(0.04, 0.12, count))
    # A galaxy has a median light of about 1.3 per pixel; neighbours have up to a twentieth of it.
    brightness = 1.3 * pixels**2 * 10 ** rng.uniform(-3.2, -1.3, count)
    tints = colour(rng.uniform(-0.1, 0.9, count))
    return sky.spots(pixels, centres, sigmas, brightness[:, None] * tints)


def _elliptical(rng: np.random.Generator, frame: Plane, low: float, high: float) -> Light:
    """A smooth galaxy with axis ratio `low` to `high`, a redder core and a soft halo."""
    ratio = rng.uniform(low, high)
    index = rng.uniform(1.0, 4.2)
    # The petrosian R90 / R50 is 2.3 for a disc and 3.3 for a de Vaucouleurs profile.
    effective = 1 / (2.3 + (index - 1) / 3)
    plane = frame.turned(0, ratio)
    halo = 0.25 * sky.sersic(plane, 1.6 * effective, 1.0)
    return _tinted(sky.sersic(plane, effective, index), 0.7) + _tinted(halo, 0.4)


def _edge_on(rng: np.random.Generator, frame: Plane) -> Light:
    """A thin disc seen from the side, sometimes with a bulge, sometimes with a dust lane.

    Two in five are tilted a little: such thin ellipses look like cigar-shaped ellipticals.
    """
    length = rng.uniform(0.26, 0.36)
    height = length * rng.uniform(0.12, 0.5)
    if rng.random() < 0.6:
        disc = sky.edge_on_disc(frame, length, height)
    else:
        tilted = frame.turned(0, rng.uniform(0.12, 0.32))
        disc = sky.sersic(tilted, 1.3 * length, rng.uniform(0.8, 1.8))
    bulge = sky.sersic(frame.turned(0, rng.uniform(0.6, 0.9)), rng.uniform(0.08, 0.16), 2)
    share = rng.uniform(0.05, 0.35) if rng.random() < 0.55 else 0.0
    light = _tinted((1 - share) * disc, 0.35) + _tinted(share * bulge, 0.8)
    if rng.random() < 0.35:
        lane = np.exp(-(((frame.v - rng.normal(0, 0.3) * height) / (0.45 * height)) ** 2))
        depth = rng.uniform(0.3, 0.8) * np.array([0.75, 0.9, 1.0], np.float32)
        light *= 1 - depth[:, None, None] * lane
    return light


def _spiral(rng: np.random.Generator, frame: Plane, *, barred: bool) -> Light:
    """A tilted disc with arms around a core; in a barred one the arms begin at the bar's ends.

    The light of the core is drawn in the same way for both; the bar takes a share of it, from
    nearly none to nearly all.
    """
    plane = frame.turned(0, rng.uniform(0.5, 1.0)).turned(rng.uniform(0, math.pi))
    core = rng.uniform(0.15, 0.45)
    start = rng.uniform(0.38, 0.62) if barred else rng.uniform(0.1, 0.3)
    pitch = math.radians(rng.uniform(11, 30)) * rng.choice((-1, 1))
    count = 2 if barred else int(rng.choice((2, 2, 2, 3, 4)))
    contrast = rng.beta(1.6, 1.1)
    shape = sky.arms(plane, count, pitch, start, rng.uniform(1.2, 3.5)) * _clumps(rng, plane)
    disc = sky.sersic(plane, 1.68 / 3.7, 1.0)
    pattern = disc * shape
    pattern *= contrast * disc.sum() / pattern.sum()
    bulge = sky.sersic(plane.turned(0, rng.uniform(0.8, 1.0)), rng.uniform(0.12, 0.2), 1.2)
    share = rng.uniform(0.1, 0.95) if barred else 0.0
    centre = (1 - share) * bulge
    if barred:
        centre = centre + share * sky.bar(plane, start, start * rng.uniform(0.18, 0.35))
    old = core * centre + (1 - core) * (1 - contrast) * disc
    return _tinted(old, 0.75) + _tinted((1 - core) * pattern, rng.uniform(-0.2, 0.3))


def _clumps(rng: np.random.Generator, plane: Plane, strength: float = 0.35) -> Light:
    """A factor around 1 that makes light patchy."""
    count = 40
    patches = sky.spots(
        plane.u.shape[0],
        rng.uniform(-1.4, 1.4, (count, 2)),
        rng.uniform(0.08, 0.22, count),
        rng.normal(0, 1, count),
    )
    return np.exp(strength * patches / patches.std())


def _irregular(rng: np.random.Generator, frame: Plane) -> Light:
    """A lopsided body without symmetry, with a few clumps of young stars."""
    pixels = frame.u.shape[0]
    body = sky.sersic(frame.turned(0, rng.uniform(0.4, 0.9)), rng.uniform(0.42, 0.62), 0.8)
    body = sky.unit(body * _clumps(rng, frame, rng.uniform(0.4, 1.2)))
    side = rng.normal(0, 0.3, 2)
    lobe = sky.sersic(frame.placed(side).turned(1.0, rng.uniform(0.4, 0.9)), 0.25, 1.0)
    count = int(rng.integers(3, 9))
    knots = sky.spots(
        pixels,
        side + rng.normal(0, 0.35, (count, 2)),
        rng.uniform(0.07, 0.2, count),
        rng.uniform(0.2, 1.0, count),
    )
    share = rng.uniform(0.05, 0.35)
    smooth = 0.7 * body + 0.3 * lobe
    return _tinted((1 - share) * smooth, 0.5) + _tinted(share * sky.unit(knots), -0.1)


def _merger(rng: np.random.Generator, frame: Plane) -> Light:
    """Two galaxies in contact, with a bridge and tails drawn out by the tides."""
    distance, direction = rng.uniform(0.45, 1.15), rng.uniform(0, 2 * math.pi)
    step = distance * np.array([math.cos(direction), math.sin(direction)])
    weight = rng.uniform(0.3, 0.7)
    first = _companion(rng, frame.placed(-(1 - weight) * step, rng.uniform(0.5, 0.8)))
    second = _companion(rng, frame.placed(weight * step, rng.uniform(0.4, 0.75)))
    pixels = frame.u.shape[0]
    tails = _tail(rng, pixels, -(1 - weight) * step, direction + math.pi)
    tails = tails + _tail(rng, pixels, weight * step, direction)
    share = rng.uniform(0.05, 0.25)
    light = weight * sky.unit(first) + (1 - weight) * sky.unit(second)
    return (1 - share) * light + _tinted(share / 6 * tails, 0.1)


def _companion(rng: np.random.Generator, frame: Plane) -> Light:
    frame = frame.turned(rng.uniform(0, 2 * math.pi))
    if rng.random() < 0.5:
        return _elliptical(rng, frame, 0.5, 1.0)
    return _spiral(rng, frame, barred=False)


def _tail(rng: np.random.Generator, pixels: int, start: NDArray, direction: float) -> Light:
    """A tidal tail: spots along an arc that fade outwards. Unit flux."""
    t = np.linspace(0, 1, 14)
    length, bend = rng.uniform(0.6, 1.6), rng.uniform(0.8, 2.4) * rng.choice((-1, 1))
    heading = direction + rng.normal(0, 0.5) + bend * t
    path = np.stack([np.cos(heading), np.sin(heading)], axis=1).cumsum(axis=0) * (length / len(t))
    return sky.unit(sky.spots(pixels, start + path, 0.04 + 0.08 * t, 1.1 - t))


DRAW: tuple[Callable[[np.random.Generator, Plane], Light], ...] = (
    lambda rng, frame: _elliptical(rng, frame, 0.84, 1.0),
    lambda rng, frame: _elliptical(rng, frame, 0.46, 0.86),
    lambda rng, frame: _elliptical(rng, frame, 0.14, 0.44),
    _edge_on,
    lambda rng, frame: _spiral(rng, frame, barred=True),
    lambda rng, frame: _spiral(rng, frame, barred=False),
    _irregular,
    _merger,
)
