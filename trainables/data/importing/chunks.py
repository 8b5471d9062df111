"""Reads, checks and writes the images of an import, chunk by chunk: a chunk becomes one shard."""

import hashlib
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import SPLITS
from trainables.data.decode import DecodeError, decode, peak
from trainables.data.importing.journal import Bad, Journal
from trainables.data.importing.listing import Listing
from trainables.data.importing.splitting import TEST, TRAIN, VALID
from trainables.data.parquet import ROWS_PER_SHARD, write_split
from trainables.processor import usable_cores
from trainables.records import sync

CHUNK_BYTES = 256 * 2**20
AHEAD = 64
# Every pixel is decoded; what is then made of them is as small as it can be.
CHECKED_PX = 8


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some images of one split, by their numbers in the listing, in the order of the shard."""

    number: int
    split: int
    images: NDArray[np.int64]


def rows_per_chunk(mean_bytes: float) -> int:
    """As many images as a shard may have, fewer where they are large: a chunk is in memory."""
    return int(min(max(CHUNK_BYTES // max(mean_bytes, 1), 16), ROWS_PER_SHARD))


def chunks(splits: NDArray[np.int8], order: NDArray[np.uint64] | None, rows: int) -> list[Chunk]:
    """All images in chunks of `rows`: test, then valid, then train, each in `order` if given."""
    found: list[Chunk] = []
    for split in (TEST, VALID, TRAIN):
        images = np.flatnonzero(splits == split)
        if order is not None:
            images = images[np.argsort(order[images], kind="stable")]
        for start in range(0, len(images), rows):
            found.append(Chunk(len(found), split, images[start : start + rows]))
    return found


@dataclass(frozen=True, slots=True)
class _Checked:
    image: int
    encoded: bytes = b""
    digest: bytes | None = None
    fault: str | None = None
    peak: int = -1


class ChunkWriter:
    """Writes chunks of a listing into `folder`; use as a context manager."""

    def __init__(self, listing: Listing, splits: NDArray[np.int8], journal: Journal, folder: Path):
        self._listing, self._splits = listing, splits
        self._journal, self._folder = journal, folder

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(len(usable_cores()))
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def write(self, chunk: Chunk, advance: Callable[[], None]) -> None:
        """Writes the shard of a chunk, if an image is left; `advance` is called for each image."""
        scratch = self._folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        self._peak = -1
        with self._journal.chunk():
            write_split(
                scratch, SPLITS[chunk.split], self._kept(chunk, advance), self._listing.classes
            )
            rows = len(chunk.images) - self._journal.left_out_of(chunk.number)
            for shard in scratch.iterdir():
                sync(shard)
                shard.rename(chunk_path(self._folder, chunk.number))
            self._journal.saw(chunk.number, self._peak)
            self._journal.finish(chunk.number, rows)

    def forget_changed(self) -> None:
        """Forgets chunks from the first with an image that was left out and has changed since."""
        for bad in sorted(self._journal.left_out(), key=lambda bad: bad.chunk):
            if self._read(bad.image).digest != bad.digest:
                self._journal.forget_from(bad.chunk)
                break

    def _kept(self, chunk: Chunk, advance: Callable[[], None]) -> Iterator[tuple[bytes, str, int]]:
        for checked in self._checked(chunk.images):
            image = checked.image
            reason = checked.fault or self._repeated(checked, chunk.number)
            if reason:
                self._journal.leave_out(Bad(image, chunk.number, checked.digest, reason))
            else:
                self._peak = max(self._peak, checked.peak)
                yield checked.encoded, self._listing.ids[image], int(self._listing.labels[image])
            advance()

    def _checked(self, images: NDArray[np.int64]) -> Iterator[_Checked]:
        """The images in order, read and decoded by all cores, few of them at a time."""
        waiting: deque[Future[_Checked]] = deque()
        for image in images.tolist():
            waiting.append(self._pool.submit(self._check, image))
            if len(waiting) > AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()

    def _read(self, image: int) -> _Checked:
        try:
            encoded = self._listing.read(image)
        except OSError as error:
            return _Checked(image, fault=f"cannot be read: {error.strerror or error}")
        return _Checked(image, encoded, hashlib.blake2b(encoded, digest_size=16).digest())

    def _check(self, image: int) -> _Checked:
        read = self._read(image)
        if read.fault is None:
            try:
                decode(read.encoded, CHECKED_PX)
                found = peak(read.encoded)
            except DecodeError as error:
                return _Checked(image, digest=read.digest, fault=f"cannot be decoded: {error}")
            return read if found is None else replace(read, peak=found)
        return read

    def _repeated(self, checked: _Checked, chunk: int) -> str | None:
        """How an image repeats the bytes of one before it; None if it does not."""
        assert checked.digest is not None
        first = self._journal.first(checked.digest, checked.image, chunk)
        if first == checked.image:
            return None
        listing = self._listing
        said = f"same bytes as {listing.ids[first]}"
        here, there = (listing.classes[listing.labels[i]] for i in (checked.image, first))
        if here != there:
            said += f", but of class {here!r} instead of {there!r}"
        if self._splits[checked.image] != self._splits[first]:
            leak = SPLITS[self._splits[checked.image]], SPLITS[self._splits[first]]
            said += f", which would leak from {leak[1]} into {leak[0]}"
        return said


def chunk_path(folder: Path, number: int) -> Path:
    """Where in the folder of an import a chunk's shard waits for its name."""
    return folder / f"{number:05d}.chunk"
