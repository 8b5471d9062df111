"""The pixels of a split for training, in the fastest of three ways that has room.

Resident: the GPU holds all decoded images. Mapped: batches are gathered from the cache on disk.
Streamed: the shards are decoded while a model trains. The samples and their pixels are the same bit
for bit; resident and mapped also have the same order of an epoch.

Letters: N = images of the split, B = images of a batch, S = pixels per side.
"""

import errno
import os
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.data.cache import decoded
from trainables.data.dataset import Dataset, Progress
from trainables.data.stream import Stream

WAYS = ("resident", "mapped", "streamed")
LIMIT = "SEARCH_CACHE_LIMIT_BYTES"
RESIDENT_SHARE = 1 / 3  # of free device memory; a model and its activations need the rest
GATHERED_AHEAD = 2
_CHUNK_BYTES = 64 * 2**20
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

# Shared by the trials of a process: the splits with the last one's data set, size and device.
_Key = tuple[str, int, torch.device, str]
_residents: dict[_Key, torch.Tensor] = {}


class Pixels(ABC):
    """Samples of a split for a device. `labels` (N,) int64 are on the CPU; `why` explains `way`."""

    way: ClassVar[str]

    def __init__(self, labels: torch.Tensor, why: str):
        self.labels, self.why = labels, why

    def order(self, generator: torch.Generator) -> torch.Tensor:
        """The order (N,) of the samples in an epoch; it depends on `generator` only."""
        return torch.randperm(len(self.labels), generator=generator)

    @abstractmethod
    def batches(self, order: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        """(B, 3, S, S) uint8 on the device for each index tensor (B,), in order."""


class Resident(Pixels):
    """All images (N, 3, S, S) uint8 in the memory of the device."""

    way = "resident"

    def __init__(self, images: torch.Tensor, labels: torch.Tensor, why: str):
        super().__init__(labels, why)
        self._images = images

    def batches(self, order: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        for indices in order:
            yield self._images.index_select(0, indices.to(self._images.device))


class Mapped(Pixels):
    """Images (N, 3, S, S) uint8 of the decoded cache; batches for a GPU are gathered ahead."""

    way = "mapped"

    def __init__(self, images: np.memmap, labels: torch.Tensor, device: torch.device, why: str):
        super().__init__(labels, why)
        self._images, self._device = images, device

    def batches(self, order: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        if self._device.type == "cpu":
            yield from map(self._gathered, order)
            return
        waiting: deque[Future[torch.Tensor]] = deque()
        with ThreadPoolExecutor(1) as pool:
            for indices in order:
                waiting.append(pool.submit(self._pinned, indices))
                if len(waiting) > GATHERED_AHEAD:
                    yield waiting.popleft().result().to(self._device, non_blocking=True)
            for batch in waiting:
                yield batch.result().to(self._device, non_blocking=True)

    def _gathered(self, indices: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(self._images[indices.numpy()])

    def _pinned(self, indices: torch.Tensor) -> torch.Tensor:
        return self._gathered(indices).pin_memory()


class Streamed(Pixels):
    """Images decoded from the shards as they are needed; `stream` knows where each is stored.

    An epoch's order keeps samples of the same row groups near each other. `batches` raises
    a DataError that names the places that cannot be read or decoded.
    """

    way = "streamed"

    def __init__(self, stream: Stream, device: torch.device, why: str):
        super().__init__(stream.labels, why)
        self.stream, self._device = stream, device

    def order(self, generator: torch.Generator) -> torch.Tensor:
        return self.stream.order(generator)

    def batches(self, order: Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
        for batch in self.stream.batches(order, pinned=self._device.type == "cuda"):
            yield batch.to(self._device, non_blocking=True)


def open_pixels(
    dataset: Dataset,
    split: str,
    image_size: int,
    device: torch.device,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    memory_bytes: int | None = None,
    limit_bytes: int | None = None,
    workers: int | None = None,
    way: str | None = None,
) -> Pixels:
    """The pixels of a split, in the given `way` or the fastest that has room.

    Args:
        cache_dir: the folder of decoded images, by default that of `cache.default_cache_dir`.
        progress: is called while images are decoded.
        memory_bytes: device memory for all that this process trains with (default: what is free).
        limit_bytes: the most that a decoded split may take of the disk, by default the variable
            SEARCH_CACHE_LIMIT_BYTES, else what is free.
        workers: the number of processes that decode a stream.
        way: one of `WAYS`.

    Raises:
        DataError: the data are damaged.
        ValueError: the way is unknown, or the limit is not a number.
        OSError: a cache was asked for and has no room.
    """
    if way not in (None, *WAYS):
        raise ValueError(f"unknown way to hold pixels {way!r}; there are: {', '.join(WAYS)}")
    size = dataset.rows(split) * 3 * image_size**2
    make = partial(decoded, dataset, split, image_size, cache_dir, progress)
    found = _made(make, size, _limit() if limit_bytes is None else limit_bytes, way)
    if isinstance(found, str):
        stream = Stream(dataset, split, image_size, workers=workers)
        return Streamed(stream, device, f"{split} takes {_mb(size)} decoded; {found}")
    key = (dataset.fingerprint, image_size, device, split)
    return _cached(*found, key, memory_bytes, way)


def _made(
    make: Callable[[], tuple[np.memmap, NDArray[np.int64]]],
    size: int,
    limit: int | None,
    way: str | None,
) -> tuple[np.memmap, NDArray[np.int64]] | str:
    """The decoded images and labels, or the reason why they are streamed."""
    if way == "streamed":
        return "streamed was asked for"
    if way is None and limit is not None and size > limit:
        return f"the limit for a split is {_mb(limit)}"
    try:
        return make()
    except OSError as error:
        if way or error.errno not in _DISK_FULL:
            raise
        return str(error.strerror)


def _cached(
    images: np.memmap,
    classes: NDArray[np.int64],
    key: _Key,
    memory_bytes: int | None,
    way: str | None,
) -> Pixels:
    """The pixels of a decoded split; on the device if they are there or have room there."""
    *_, device, split = key
    labels = torch.from_numpy(classes)
    for other in [other for other in _residents if other[:3] != key[:3]]:
        del _residents[other]
    free, needed = _free_bytes(device, memory_bytes), f"{split} takes {_mb(images.nbytes)} decoded"
    if way:
        reason = f"{way} was asked for"
    elif key in _residents:
        reason = f"{device} holds it already"
    elif device.type == "cpu" and memory_bytes is None:
        way, reason = "mapped", "the CPU reads it where it is"
    else:
        reason = f"images may take a third of the {_mb(free)} free on {device}"
        way = None if images.nbytes <= free * RESIDENT_SHARE else "mapped"
    if way != "mapped":
        try:
            if key not in _residents:
                _residents[key] = _copied(images, device)
            return Resident(_residents[key], labels, f"{needed}; {reason}")
        except torch.OutOfMemoryError:
            if way:
                raise
            reason += ", which was taken before they were copied"
    return Mapped(images, labels, device, f"{needed}; {reason}")


def _copied(images: np.memmap, device: torch.device) -> torch.Tensor:
    """`images` on the device, copied with little host memory."""
    copy = torch.empty(images.shape, dtype=torch.uint8, device=device)
    step = max(1, _CHUNK_BYTES // images[0].nbytes)
    for start in range(0, len(images), step):
        copy[start : start + step] = torch.from_numpy(np.array(images[start : start + step]))
    return copy


def _free_bytes(device: torch.device, memory_bytes: int | None) -> int:
    """Memory of the device that is neither in use nor taken by resident images."""
    if memory_bytes is not None:
        return memory_bytes - sum(images.nbytes for images in _residents.values())
    if device.type != "cuda":
        return 0
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


def _limit() -> int | None:
    given = os.environ.get(LIMIT)
    if not given:
        return None
    if given.isdecimal():
        return int(given)
    raise ValueError(
        f"{LIMIT} is {given!r}; give a number of bytes such as 50000000000, or unset it"
    )


def _mb(size: float) -> str:
    return f"{size / 1e6:,.1f} MB"
