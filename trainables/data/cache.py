"""Decoded images on disk, made once a node and mapped into memory by every process.

`decoded` answers at once when the pixels are there. Otherwise one process makes them, under a lock,
in a folder that gets its name when all is written.

Letters: N = images of the split, S = pixels a side.
"""

import errno
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import DataError, Dataset, Progress
from trainables.data.decode import DECODE_VERSION, DecodeError, decode
from trainables.data.parquet import Batch, batches
from trainables.data.room import check_room
from trainables.home import FOLDER, own_temporary, user_home
from trainables.lock import exclusive

SHOWN = 20


def default_cache_dir() -> Path:
    """`$SEARCH_CACHE`, else `efficient-vit-search` under `$XDG_CACHE_HOME` or `~/.cache`.

    For a user who has no home, or none that can be written: a folder of his own among the temporary
    ones.
    """
    if chosen := os.environ.get("SEARCH_CACHE"):
        return Path(chosen)
    if cache := os.environ.get("XDG_CACHE_HOME"):
        return Path(cache) / FOLDER
    if not (home := user_home()):
        return own_temporary()
    place = home / ".cache"
    writable = os.access(place if place.exists() else home, os.W_OK)
    return place / FOLDER if writable else own_temporary()


def decoded(
    dataset: Dataset,
    split: str,
    image_size: int,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> tuple[np.memmap, NDArray[np.int64]]:
    """Images (N, 3, S, S) uint8, mapped read-only, and labels (N,) int64 of a split.

    Raises DataError naming the images that cannot be decoded, and OSError (ENOSPC) before anything
    is written if they would not fit on the disk.
    """
    key = f"{dataset.fingerprint[:16]}-{image_size}px-v{DECODE_VERSION}"
    folder = (cache_dir or default_cache_dir()) / key / split
    shape = (dataset.rows(split), 3, image_size, image_size)
    found = _mapped(folder, shape)
    if found is None:
        with exclusive(folder.with_suffix(".lock")):
            found = _mapped(folder, shape)
            if found is None:
                _make(dataset, split, folder, shape, progress)
                found = _mapped(folder, shape)
    if found is None:
        raise OSError(errno.EIO, f"cannot read back what was just written: {folder}")
    return found


def _mapped(folder: Path, shape: tuple[int, ...]) -> tuple[np.memmap, NDArray[np.int64]] | None:
    """What is in the cache; None if there is nothing, or something damaged that is made again."""
    try:
        images = np.load(folder / "images.npy", mmap_mode="r")
        labels = np.load(folder / "labels.npy")
    except (OSError, ValueError, EOFError):
        return None
    whole = images.shape == shape and images.dtype == np.uint8 and labels.shape == shape[:1]
    return (images, labels) if whole else None


def _make(
    dataset: Dataset,
    split: str,
    folder: Path,
    shape: tuple[int, ...],
    progress: Progress | None,
) -> None:
    part = folder.with_suffix(".part")
    for left_over in (part, folder):
        shutil.rmtree(left_over, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        images = _reserved(part / "images.npy", shape)
        labels = np.empty(shape[0], np.int64)
        _fill(dataset, split, images, labels, progress)
        images.flush()
        np.save(part / "labels.npy", labels)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _reserved(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """A new array file whose blocks the disk has promised: a full disk is an error, no SIGBUS."""
    size, folder = int(np.prod(shape, dtype=np.int64)), path.parent.parent.parent
    check_room(folder, size, "decoded images need", "point SEARCH_CACHE to a larger disk")
    images = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    if hasattr(os, "posix_fallocate"):  # macOS has none
        with path.open("r+b") as handle:
            os.posix_fallocate(handle.fileno(), 0, path.stat().st_size)
    return images


def _fill(
    dataset: Dataset,
    split: str,
    images: np.memmap,
    labels: NDArray[np.int64],
    progress: Progress | None,
) -> None:
    problems: list[str] = []
    done = 0
    # Pillow lets go of the interpreter lock while it decodes and resizes.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for batch in _batches(dataset, split, problems):
            end = done + len(batch.images)
            if end > len(images):
                break

            def put(index: int, batch: Batch = batch, start: int = done) -> str | None:
                try:
                    images[start + index] = decode(batch.images[index], images.shape[-1])
                except DecodeError as error:
                    return f"{batch.place(index)}: {error}; replace the image or drop the row"
                return None

            problems += filter(None, pool.map(put, range(len(batch.images))))
            labels[done:end] = batch.labels
            done = end
            if progress:
                progress(done, len(images))
    if not problems and done != len(images):
        problems = [f"{dataset.path}: its shards of {split} have changed since it was opened"]
    if len(problems) > SHOWN:
        problems[SHOWN:] = [f"and {len(problems) - SHOWN} more in {dataset.path}"]
    if problems:
        raise DataError(problems)


def _batches(dataset: Dataset, split: str, problems: list[str]) -> Iterator[Batch]:
    for path in dataset.shards_of(split):
        yield from batches(path, problems)
