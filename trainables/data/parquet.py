"""Parquet shards of labelled images: their form, how they are written and how they are read.

A shard is `{split}-{i:05d}-of-{n:05d}.parquet` with the columns `image` (struct of `bytes`, the
encoded image, and `path`) and `label` (int64), as Hugging Face stores images; other columns are
ignored. Only pyarrow reads it, in small batches, so that a hostile file runs no code and costs
little memory.
"""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # pyarrow is imported where it is used: `import trainables.data` stays quick
    import pyarrow as pa
    import pyarrow.parquet as pq

SHARD_NAME = re.compile(r"(train|valid|test)-(\d{5})-of-(\d{5})\.parquet")
ROWS_PER_SHARD = 2048
ROWS_PER_GROUP = 128
IMAGES_PER_BATCH = 64
LABELS_PER_BATCH = 65_536


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of one row group: their place, encoded images (None if null) and labels."""

    file: str
    row_group: int
    first_row: int
    images: list[bytes | None]
    labels: NDArray[np.int64]

    def place(self, index: int) -> str:
        """The name of a row in messages; rows are counted from the start of the file."""
        return f"{self.file}, row group {self.row_group}, row {self.first_row + index}"


def write_split(
    directory: Path, split: str, rows: Iterable[tuple[bytes, str, int]], classes: Sequence[str]
) -> None:
    """Write the (encoded image, path, label) rows of a split as shards into `directory`.

    The shards get their names when all are complete. Their schema has the class names, where
    `describe` and other readers find them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": [*classes]}}
    schema = pa.schema(
        {"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.int64()},
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    remaining = iter(rows)
    parts: list[Path] = []
    while chunk := list(islice(remaining, ROWS_PER_SHARD)):
        images = [{"bytes": encoded, "path": path} for encoded, path, _ in chunk]
        labels = [label for *_, label in chunk]
        parts.append(directory / f".{split}-{len(parts):05d}.part")
        pq.write_table(
            pa.table({"image": images, "label": labels}, schema=schema),
            parts[-1],
            row_group_size=ROWS_PER_GROUP,
            compression="none",  # images are compressed already
            use_dictionary=False,
            write_page_checksum=True,
        )
    for index, part in enumerate(parts):
        part.rename(directory / f"{split}-{index:05d}-of-{len(parts):05d}.parquet")


def batches(path: Path, problems: list[str]) -> Iterator[Batch]:
    """All rows of a shard; parts that cannot be read are left out and added to `problems`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        problems.append(f"{path.name}: damaged ({first_line(error)}); copy the file again")
        return
    with file:
        columns = ["image.bytes", "label"]
        for group, row, rows in record_batches(
            path.name, file, columns, IMAGES_PER_BATCH, problems
        ):
            images = rows.column("image").field("bytes").to_pylist()
            labels = rows.column("label").to_numpy(zero_copy_only=False)
            yield Batch(path.name, group, row, images, labels)


def labels_in(path: Path, problems: list[str]) -> NDArray[np.int64]:
    """The labels of all rows of a shard, -1 for null; what is damaged is added to `problems`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = [np.zeros(0, np.int64)]
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for *_, rows in record_batches(path.name, file, ["label"], LABELS_PER_BATCH, problems):
                found.append(rows.column(0).fill_null(-1).to_numpy(zero_copy_only=False))
    except (pa.ArrowException, OSError) as error:
        problems.append(f"{path.name}: damaged ({first_line(error)}); copy the file again")
    return np.concatenate(found)


def record_batches(
    name: str, file: "pq.ParquetFile", columns: list[str], size: int, problems: list[str]
) -> "Iterator[tuple[int, int, pa.RecordBatch]]":
    """(row group, first row, at most `size` rows); damaged row groups are added to `problems`."""
    import pyarrow as pa

    end = 0
    for group in range(file.num_row_groups):
        row, end = end, end + file.metadata.row_group(group).num_rows
        try:
            for rows in file.iter_batches(size, row_groups=[group], columns=columns):
                yield group, row, rows
                row += rows.num_rows
        except (pa.ArrowException, OSError) as error:
            reason = first_line(error)
            problems.append(f"{name}, row group {group}: damaged ({reason}); copy the file again")


def class_names(path: Path) -> list[str] | None:
    """The class names in the schema, if Hugging Face's `ClassLabel` left them there."""
    import pyarrow.parquet as pq

    return names_in(pq.read_schema(path), "label")


def names_in(schema: "pa.Schema", label: str) -> list[str] | None:
    """The same for column `label` of a schema."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        names = features[label]["names"]
    except (KeyError, TypeError, ValueError):
        return None
    return [str(name) for name in names] if isinstance(names, list) and names else None


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
