"""Galaxies: rendered stand-ins for the eight classes of Galaxy Zoo 2, 9,000 images of 224 px.

Made after what is known of the real images: scale, seeing, background, colours, class shares and
the confusions of people and networks. Total light and mean colour are drawn almost alike for all
classes, so the shape has to be read; how visible bars and arms are is drawn from a wide range,
so that some galaxies cannot be told apart, as in the sky. Source of the classes: Willett et al.
2013 (Galaxy Zoo 2) as grouped by Lin et al., arXiv:2110.01024.

Letters: H = W = height and width in pixels of the grid on which a galaxy is rendered.
"""

import io
import math
import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count, repeat
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.data import morphology, sky
from trainables.data.dataset import SPLITS, Progress, Symmetries
from trainables.data.describe import About, describe
from trainables.data.parquet import write_split
from trainables.data.sky import Plane

CLASSES = (
    "round elliptical",
    "in-between elliptical",
    "cigar-shaped elliptical",
    "edge-on",
    "barred spiral",
    "unbarred spiral",
    "irregular",
    "merger",
)
# Galaxies of each class in the real data set (155,951 in all).
REAL_COUNTS = (33_898, 39_200, 7_414, 16_349, 20_407, 30_657, 5_925, 2_101)
SIZES = {"train": 6_000, "valid": 1_500, "test": 1_500}
IMAGE_SIZE = 224
JPEG_QUALITY = 91
# Native SDSS pixels are about three pixels of a 224-pixel crop: a finer grid would only cost time.
GRID = 75

# Mean redness of a class (0 blue, 1 red): close together, as colour must not give away the class.
_REDNESS = (0.56, 0.56, 0.55, 0.50, 0.47, 0.47, 0.44, 0.48)


def render(class_index: int, rng: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """One galaxy of class `class_index` as (size, size, 3) RGB bytes; all chance is from `rng`."""
    if not 0 <= class_index < len(CLASSES):
        raise ValueError(f"class_index {class_index} is outside 0..{len(CLASSES) - 1}")
    if size < 8:
        raise ValueError(f"size {size} is too small for a galaxy: at least 8 pixels")
    frame = Plane.frame(min(size, GRID)).turned(rng.uniform(0, 2 * math.pi))
    light = morphology.DRAW[class_index](rng, frame.placed(rng.normal(0, 0.02, 2)))
    redness = np.clip(rng.normal(_REDNESS[class_index], 0.24), -0.1, 1.1)
    light *= (morphology.colour(redness) / light.sum(axis=(1, 2)))[:, None, None]
    # 1.3 arcsec of seeing; Petrosian R90 peaks at 6 to 7 arcsec with a tail to 25.
    seeing_px = 65 / np.clip(rng.lognormal(math.log(7.5), 0.38), 4, 25)
    light = sky.exposed(sky.blur(light, seeing_px), 0.0595 * math.exp(rng.normal(0, 0.25)))
    light += sky.blur(morphology.field(rng, light.shape[-1]), seeing_px)
    picture = sky.photograph(light, rng)
    return picture if size == picture.shape[0] else _enlarged(picture, size)


def example(split: str, index: int, class_index: int) -> bytes:
    """The JPEG of image `index` of a split: always the same pixels."""
    from PIL import Image

    rng = np.random.default_rng((SPLITS.index(split), index))
    buffer = io.BytesIO()
    image = Image.fromarray(render(class_index, rng, IMAGE_SIZE))
    image.save(buffer, "JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def make(directory: Path, progress: Progress | None = None) -> None:
    """Writes the data set into `directory`, rendering on all cores."""
    done, total = count(1), sum(SIZES.values())
    # Fresh interpreters: a fork of a process with threads (torch, Ray) could hang.
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        for split in SPLITS:
            rows = []
            for row in _rows(pool, split):
                rows.append(row)
                if progress:
                    progress(next(done), total)
            write_split(directory, split, rows, CLASSES)
    about = About(
        name="galaxies",
        classes=CLASSES,
        symmetries=Symmetries(rotation_degrees=90, horizontal_flip=True, vertical_flip=True),
        source="rendered by trainables.data.builtin.galaxies after Galaxy Zoo 2",
        licence="MIT",
    )
    describe(directory, about)


def _rows(pool: ProcessPoolExecutor, split: str) -> Iterator[tuple[bytes, str, int]]:
    labels = split_labels(split)
    encoded = pool.map(example, repeat(split), range(len(labels)), labels, chunksize=50)
    for index, (jpeg, label) in enumerate(zip(encoded, labels, strict=True)):
        yield jpeg, f"{split}-{index:05d}.jpg", label


def split_labels(split: str) -> list[int]:
    """Class of every image of a split: the shares of the real data, in an order by chance."""
    size = SIZES[split]
    shares = np.array(REAL_COUNTS) * (size / sum(REAL_COUNTS))
    counts = np.floor(shares).astype(int)
    counts[np.argsort(counts - shares)[: size - counts.sum()]] += 1
    labels = np.repeat(np.arange(len(CLASSES)), counts)
    return np.random.default_rng(SPLITS.index(split)).permutation(labels).tolist()


def _enlarged(picture: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.fromarray(picture).resize((size, size), Image.Resampling.BICUBIC))
