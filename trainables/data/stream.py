"""Images decoded from the shards while a model trains, for splits that no cache can hold.

Samples are numbered through the shards in order, as in the decoded cache. An epoch takes the row
groups in random order and mixes the rows of several at a time, so that every reader opens a row
group once and holds only a few.

Letters: N = images of the split, B = images of a batch, S = pixels per side.
"""

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as Samples

from trainables.data.dataset import DataError, Dataset
from trainables.data.decode import DecodeError, decode
from trainables.data.parquet import LABELS_PER_BATCH, first_line, record_batches
from trainables.processor import usable_cores

if TYPE_CHECKING:
    import pyarrow as pa

WINDOW_ROWS = 2048
PREFETCHED = 2


class Position(NamedTuple):
    """Where a sample is stored; `row` counts from the start of the file, as in messages."""

    file: str
    row_group: int
    row: int

    def __str__(self) -> str:
        return f"{self.file}, row group {self.row_group}, row {self.row}"


class _Group(NamedTuple):
    """A row group: its file, its number and first row in it, and how many rows it has."""

    path: str
    file: str
    number: int
    first_row: int
    rows: int


class Stream:
    """The samples of a split at `image_size` pixels; `labels` (N,) int64.

    `workers` is the number of processes that decode (default: the cores this process may use).

    Raises:
        DataError: all shards and row groups whose footer or labels cannot be read.
    """

    def __init__(
        self, dataset: Dataset, split: str, image_size: int, *, workers: int | None = None
    ):
        self._image_size, self._bits = image_size, dataset.bits
        self._split, self._folder = split, dataset.path
        self._workers = len(usable_cores()) if workers is None else workers
        self._groups, self.labels = _contents(dataset, split)
        self._starts = [0, *accumulate(group.rows for group in self._groups)]
        largest = max(group.rows for group in self._groups)
        self._window = max(2, -(-WINDOW_ROWS // largest))

    def position(self, index: int) -> Position:
        """Where sample `index` of the split is stored."""
        if not 0 <= index < len(self.labels):
            raise IndexError(f"sample {index} is outside 0..{len(self.labels) - 1}")
        number = bisect_right(self._starts, index) - 1
        group = self._groups[number]
        row = group.first_row + index - self._starts[number]
        return Position(group.file, group.number, row)

    def index(self, position: Position) -> int:
        """The number of the sample stored at `position`.

        Raises:
            DataError: the shards have no such place.
        """
        for group, start in zip(self._groups, self._starts, strict=False):
            row = position.row - group.first_row
            if (group.file, group.number) == position[:2] and 0 <= row < group.rows:
                return start + row
        raise DataError(
            [
                f"{Position(*position)}: not in {self._split} of {self._folder}, whose shards have "
                "changed since this was noted; restore them or start the epoch again"
            ]
        )

    def order(self, generator: torch.Generator) -> torch.Tensor:
        """An epoch's order (N,) of samples: random row groups, with rows mixed within a window."""
        windows = []
        for window in torch.randperm(len(self._groups), generator=generator).split(self._window):
            rows = torch.cat([torch.arange(*self._starts[i : i + 2]) for i in window.tolist()])
            windows.append(rows[torch.randperm(len(rows), generator=generator)])
        return torch.cat(windows)

    def batches(
        self, order: Sequence[torch.Tensor], *, pinned: bool = False
    ) -> Iterator[torch.Tensor]:
        """(B, 3, S, S) uint8 on the CPU for each index tensor (B,), read and decoded ahead.

        Two or more workers are processes of their own, which end with the iterator.

        Raises:
            DataError: all places of a batch that cannot be read or decoded.
        """
        workers = min(self._workers, len(order))
        workers = workers if workers > 1 else 0
        loader = DataLoader(
            _Reader(self._groups, self._starts, self._image_size, self._bits, self._window),
            batch_sampler=map(torch.Tensor.tolist, order),
            num_workers=workers,
            # a fork of a process with threads could hang
            multiprocessing_context="spawn" if workers else None,
            prefetch_factor=PREFETCHED if workers else None,
            collate_fn=_as_it_is,
            pin_memory=pinned,
            generator=torch.Generator(),  # else the loader uses up the model's random numbers
        )
        for found in loader:
            if isinstance(found, list):
                raise DataError(found)
            yield found


def _contents(dataset: Dataset, split: str) -> tuple[list[_Group], torch.Tensor]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    problems: list[str] = []
    groups, labels = [], []
    for path in dataset.shards_of(split):
        try:
            with pq.ParquetFile(path, page_checksum_verification=True) as file:
                first_row = 0
                for number in range(file.num_row_groups):
                    rows = file.metadata.row_group(number).num_rows
                    groups.append(_Group(str(path), path.name, number, first_row, rows))
                    first_row += rows
                read = record_batches(path.name, file, ["label"], LABELS_PER_BATCH, problems)
                labels += [rows.column(0).to_numpy(zero_copy_only=False) for *_, rows in read]
        except (pa.ArrowException, OSError) as error:
            problems.append(f"{path.name}: damaged ({first_line(error)}); copy the file again")
    if not problems and sum(map(len, labels)) != dataset.rows(split):
        problems = [f"{dataset.path}: its shards of {split} have changed since it was opened"]
    if problems:
        raise DataError(problems)
    return groups, torch.from_numpy(np.concatenate(labels))


def _as_it_is(found: Any) -> Any:
    return found


class _Reader(Samples):
    """Gives whole batches; holds the encoded images of the last `capacity` row groups."""

    def __init__(
        self, groups: list[_Group], starts: list[int], image_size: int, bits: int, capacity: int
    ):
        self._groups, self._starts = groups, starts
        self._image_size, self._bits = image_size, bits
        self._capacity = capacity
        self._held: OrderedDict[int, pa.ChunkedArray] = OrderedDict()

    def __getitems__(self, indices: list[int]) -> torch.Tensor | list[str]:
        """Images (B, 3, S, S) uint8, or what is wrong: a raised error would lose its list."""
        places: dict[int, list[int]] = {}
        for place, index in enumerate(indices):
            if not 0 <= index < self._starts[-1]:
                raise IndexError(f"sample {index} is outside 0..{self._starts[-1] - 1}")
            places.setdefault(bisect_right(self._starts, index) - 1, []).append(place)
        images = np.empty((len(indices), 3, self._image_size, self._image_size), np.uint8)
        problems: list[str] = []
        # row groups that are held come first: where windows meet, the next one would replace them
        for number in sorted(places, key=lambda number: number not in self._held):
            group = self._groups[number]
            encoded = self._encoded(number, problems)
            if encoded is None:
                continue
            for place in places[number]:
                row = indices[place] - self._starts[number]
                try:
                    images[place] = decode(encoded[row].as_py(), self._image_size, self._bits)
                except DecodeError as error:
                    where = Position(group.file, group.number, group.first_row + row)
                    problems.append(f"{where}: {error}; replace the image or drop the row")
        return problems or torch.from_numpy(images)

    def _encoded(self, number: int, problems: list[str]) -> "pa.ChunkedArray | None":
        """The images of row group `number` as they are stored; None if they cannot be read."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if number in self._held:
            self._held.move_to_end(number)
            return self._held[number]
        group = self._groups[number]
        try:
            with pq.ParquetFile(group.path, page_checksum_verification=True) as file:
                table = file.read_row_group(group.number, ["image.bytes"], use_threads=False)
        except (pa.ArrowException, OSError) as error:
            reason = f"damaged ({first_line(error)}); copy the file again"
        else:
            if len(table) == group.rows:
                self._held[number] = table.column("image").flatten()[0]
                if len(self._held) > self._capacity:
                    self._held.popitem(last=False)
                return self._held[number]
            reason = "has changed since it was opened; start again"
        problems.append(f"{group.file}, row group {group.number}: {reason}")
        return None
