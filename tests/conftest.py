"""What all tests share: a cache of their own, and a data set that takes milliseconds to learn."""

import fcntl
import gc
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# workers of pytest-xdist share the cores, and threads that wait for each other cost the most
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from trainables.data import Symmetries, describe, locate
from trainables.data.describe import About
from trainables.data.parquet import write_split

TINY_CLASSES = ("red", "green", "blue")
TINY_COUNTS = {"train": (20, 14, 9), "valid": (6, 6, 6), "test": (7, 5, 3)}
TINY_PX = 16


def pytest_collection_finish() -> None:
    """Thousands of collected tests are no garbage: not to look through them saves much time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _beside_others(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Tests run beside each other (pytest-xdist), but none beside one that is marked `alone`.

    One that wants to be alone shuts the door behind itself: whoever comes later waits there.
    """
    if "PYTEST_XDIST_WORKER" not in os.environ:
        yield
        return
    way = fcntl.LOCK_EX if request.node.get_closest_marker("alone") else fcntl.LOCK_SH
    folder = tmp_path_factory.getbasetemp().parent
    with (folder / "room").open("a") as room:
        with (folder / "door").open("a") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            fcntl.flock(room, way)
        yield


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Decoded images go into a folder of this session, not into the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def _noisy(label: int, rng: np.random.Generator) -> bytes:
    """A PNG of noise that is somewhat brighter in the channel of its class."""
    pixels = rng.integers(0, 160, (TINY_PX, TINY_PX, 3))
    pixels[..., label] += 60
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def digits_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which `digits` is made, to read: it takes a second."""
    folder = tmp_path_factory.mktemp("digits")
    locate("digits", folder / "data")
    return folder


@pytest.fixture(scope="session")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with 76 images of 16 px in three uneven classes, which may be turned and mirrored.

    The training split has 43 images: with batches of 6, 7 or 21 the last one holds a single image.
    """
    folder = tmp_path_factory.mktemp("data") / "tiny"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for split, counts in TINY_COUNTS.items():
        labels = rng.permutation(np.repeat(np.arange(3), counts)).tolist()
        rows = [(_noisy(label, rng), f"{i}.png", label) for i, label in enumerate(labels)]
        write_split(folder, split, rows, TINY_CLASSES)
    describe(folder, About(symmetries=Symmetries(90.0, True, True), source="noise", licence="MIT"))
    return folder
