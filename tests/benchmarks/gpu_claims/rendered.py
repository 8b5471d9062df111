"""Rendered galaxies that several parts train on, made by the first that asks."""

from pathlib import Path

from tests.benchmarks.gpu_claims.claim import Scale
from tests.benchmarks.input_speed import made
from trainables.data import Dataset, open_dataset

IMAGES, TOY_IMAGES = 2048, 64  # batches of 64 without a rest: what is compiled sees one shape
STORED_PX, TOY_STORED_PX = 424, 64


def galaxies(scale: Scale) -> tuple[Dataset, Path]:
    """A data set, and the JPEGs of its training images in one folder per class."""
    folder = scale.scratch / "galaxies"
    if (folder / "shards" / "dataset.json").exists():
        return open_dataset(folder / "shards"), folder / "files"
    folder.mkdir(parents=True)
    images, stored = (TOY_IMAGES, TOY_STORED_PX) if scale.toy else (IMAGES, STORED_PX)
    return made(folder, images, stored)
