"""Digits: the 1,797 handwritten digits of scikit-learn, real and small; the default data set.

8 x 8 pixels of 17 grey levels from the UCI set "Optical Recognition of Handwritten Digits"
(Alpaydin and Kaynak, 1998), enlarged smoothly to 56 x 56 RGB. Split 64/16/20 within every class,
always alike.
"""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import SPLITS, Progress, Symmetries
from trainables.data.describe import About, describe
from trainables.data.parquet import write_split

CLASSES = tuple("0123456789")
IMAGE_SIZE = 56
SIZES = {"train": 1149, "valid": 289, "test": 359}
SHARES = {"train": 0.64, "valid": 0.16, "test": 0.20}
SEED = 0


def make(directory: Path, progress: Progress | None = None) -> None:
    """Writes the data set into `directory`."""
    from sklearn.datasets import load_digits

    images, labels = map(np.asarray, load_digits(return_X_y=True))
    done = 0
    for split, indices in split_indices(labels).items():
        rows = [(_png(images[i]), f"{i:04d}.png", int(labels[i])) for i in indices]
        write_split(directory, split, rows, CLASSES)
        done += len(rows)
        if progress:
            progress(done, len(labels))
    about = About(
        name="digits",
        classes=CLASSES,
        symmetries=Symmetries(),
        source="scikit-learn load_digits: UCI Optical Recognition of Handwritten Digits",
        licence="CC BY 4.0",
    )
    describe(directory, about)


def split_indices(labels: NDArray[np.int64]) -> dict[str, list[int]]:
    """Row numbers of each split: every class is shuffled and cut by `SHARES`."""
    rng = np.random.default_rng(SEED)
    chosen: dict[str, list[int]] = {split: [] for split in SPLITS}
    for label in range(len(CLASSES)):
        members = rng.permutation(np.flatnonzero(labels == label))
        cuts = (np.cumsum([SHARES[split] for split in SPLITS[:-1]]) * len(members)).round()
        for split, part in zip(SPLITS, np.split(members, cuts.astype(int)), strict=True):
            chosen[split] += part.tolist()
    return {split: sorted(indices) for split, indices in chosen.items()}


def _png(levels: NDArray[np.float64]) -> bytes:
    """The PNG of 64 grey levels from 0 to 16."""
    from PIL import Image

    grey = (levels.reshape(8, 8) * (255 / 16)).round().astype(np.uint8)
    image = Image.fromarray(grey).resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG")
    return buffer.getvalue()
