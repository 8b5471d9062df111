"""Decoded images on disk, made once per node and mapped into memory by every process.

Where the pixels are there, `decoded` compares their checksums (once in a process; `checksums` says
what it costs) and their labels with those in the shards. Where they are missing, damaged, or of an
earlier version that wrote no checksums, one process makes them, under a lock, in a folder that gets
its name when all is written. That something there was made again is a warning.

Letters: N = images of the split, S = pixels per side.
"""

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.data import checksums
from trainables.data.dataset import DataError, Dataset, Progress
from trainables.data.decode import DECODE_VERSION, DecodeError, decode
from trainables.data.parquet import Batch, batches, labels_in
from trainables.data.room import check_room
from trainables.home import FOLDER, own_temporary, user_home
from trainables.lock import exclusive

SHOWN = 20
IMAGES, LABELS = FILES = ("images.npy", "labels.npy")

logger = logging.getLogger(__name__)

# What this process has found whole: a file that is changed or replaced is looked at again.
_found_whole: set[checksums.State] = set()


class _UnusableError(Exception):
    """Why a cache that is there has to be made again."""


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

    Raises:
        DataError: names the images that cannot be decoded.
        OSError: the images would not fit on the disk (ENOSPC, before anything is written).
    """
    key = f"{dataset.fingerprint[:16]}-{image_size}px-v{DECODE_VERSION}"
    folder = (cache_dir or default_cache_dir()) / key / split
    shape = (dataset.rows(split), 3, image_size, image_size)
    try:
        if folder.exists():
            return _mapped(folder, shape, dataset, split)
    except _UnusableError:
        pass  # another process may be at it: looked at again under the lock
    with exclusive(folder.with_suffix(".lock")):
        try:
            if folder.exists():
                return _mapped(folder, shape, dataset, split)
        except _UnusableError as error:
            logger.warning(f"{folder}: {error}; the decoded images are made again")
        _make(dataset, split, folder, shape, progress)
        try:
            return _mapped(folder, shape, dataset, split)
        except _UnusableError as error:
            said = f"cannot read back what was just written: {folder} ({error})"
            raise OSError(errno.EIO, said) from error


def _mapped(
    folder: Path, shape: tuple[int, ...], dataset: Dataset, split: str
) -> tuple[np.memmap, NDArray[np.int64]]:
    """What is in the cache. Raises _UnusableError if it is damaged or of an earlier version."""
    try:
        state = checksums.state(folder, FILES)
        new = state not in _found_whole
        if new and (reason := checksums.damage(folder, FILES)):
            raise _UnusableError(reason)
        images = np.load(folder / IMAGES, mmap_mode="r")
        labels = np.load(folder / LABELS)
    except (OSError, ValueError, EOFError) as error:
        raise _UnusableError(f"damaged ({error})") from error
    if images.shape != shape or images.dtype != np.uint8:
        raise _UnusableError("damaged (its images have another shape)")
    if new and not np.array_equal(labels, _labels(dataset, split)):
        raise _UnusableError("damaged (its labels are not those of the shards)")
    _found_whole.add(state)
    return images, labels


def _labels(dataset: Dataset, split: str) -> NDArray[np.int64]:
    """Labels (N,) of a split by its shards."""
    problems: list[str] = []
    found = [labels_in(path, problems) for path in dataset.shards_of(split)]
    if problems:
        raise DataError(problems)
    return np.concatenate(found)


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
        images = _reserved(part / IMAGES, shape)
        labels = np.empty(shape[0], np.int64)
        _fill(dataset, split, images, labels, progress)
        images.flush()
        np.save(part / LABELS, labels)
        checksums.write(part, FILES)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _reserved(path: Path, shape: tuple[int, ...]) -> np.memmap:
    """A new array file with its blocks allocated: a full disk is then an error, not a SIGBUS."""
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
    done, size = 0, images.shape[-1]
    # Pillow lets go of the interpreter lock while it decodes and resizes.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for batch in _batches(dataset, split, problems):
            end = done + len(batch.images)
            if end > len(images):
                break

            def put(index: int, batch: Batch = batch, start: int = done) -> str | None:
                try:
                    images[start + index] = decode(batch.images[index], size, dataset.bits)
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
