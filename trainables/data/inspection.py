"""Checks a shard without reading images: its schema, null images and labels."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainables.data.parquet import LABELS_PER_BATCH, first_line, record_batches

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

WANTED = "image struct<bytes: binary, path: string> and label int64"
# Where nothing says how many classes there are: no label is above this.
MAX_CLASSES = 100_000


def inspect(path: Path, num_classes: int | None) -> tuple[NDArray[np.int64], list[str]]:
    """Images per class (`num_classes` or `MAX_CLASSES` numbers), and all mistakes of a shard."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    limit = MAX_CLASSES if num_classes is None else num_classes
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            problems = _schema_problems(path.name, file.schema_arrow)
            if problems:
                return np.zeros(limit, np.int64), problems
            problems = _null_images(path.name, file)
            return _count_labels(path.name, file, limit, problems), problems
    except (pa.ArrowException, OSError) as error:
        reason = f"{path.name}: not a readable Parquet file ({first_line(error)}); copy it again"
        return np.zeros(limit, np.int64), [reason]


def _schema_problems(name: str, schema: "pa.Schema") -> list[str]:
    from pyarrow import types

    missing = [column for column in ("image", "label") if schema.get_field_index(column) < 0]
    if missing:
        columns = ", ".join(f"{field.name} {field.type}" for field in schema) or "none"
        return [
            f"{name}: no single column {' and '.join(missing)}; it has: {columns}; "
            f"wanted: {WANTED}; rename or convert its columns"
        ]
    image, label = schema.field("image").type, schema.field("label").type
    problems = []
    if not types.is_struct(image) or not any(
        field.name == "bytes" and (types.is_binary(field.type) or types.is_large_binary(field.type))
        for field in image
    ):
        problems.append(f"{name}: column image is {image}; wanted: {WANTED}; convert the column")
    if not types.is_int64(label):
        problems.append(f"{name}: column label is {label}; wanted: int64; cast the column")
    return problems


def _null_images(name: str, file: "pq.ParquetFile") -> list[str]:
    """Null images, by the footer's statistics; without these, decoding will find them."""
    problems = []
    for group in range(file.num_row_groups):
        metadata = file.metadata.row_group(group)
        for column in map(metadata.column, range(metadata.num_columns)):
            statistics = column.statistics if column.path_in_schema == "image.bytes" else None
            if statistics is not None and statistics.null_count:
                problems.append(
                    f"{name}, row group {group}: {statistics.null_count} null image.bytes; "
                    "put the encoded images in, a path alone is not followed"
                )
    return problems


def _count_labels(
    name: str, file: "pq.ParquetFile", limit: int, problems: list[str]
) -> NDArray[np.int64]:
    counts = np.zeros(limit, np.int64)
    first: dict[str, str] = {}
    number: Counter[str] = Counter()
    for group, row, rows in record_batches(name, file, ["label"], LABELS_PER_BATCH, problems):
        labels = rows.column(0).fill_null(-1).to_numpy(zero_copy_only=False)
        null = rows.column(0).is_null().to_numpy(zero_copy_only=False)
        inside = (labels >= 0) & (labels < limit)
        for mistake, mask in (("is null", null), ("outside", ~inside & ~null)):
            found = np.flatnonzero(mask)
            if found.size:
                place = f"{name}, row group {group}, row {row + found[0]}"
                said = mistake if mistake == "is null" else f"{labels[found[0]]} is outside"
                first.setdefault(mistake, f"{place}: label {said}")
                number[mistake] += found.size
        counts += np.bincount(labels[inside], minlength=limit)
    for mistake, text in first.items():
        more = f" (and {number[mistake] - 1} more in this file)" if number[mistake] > 1 else ""
        problems.append(f"{text} 0..{limit - 1}{more}; correct the label or drop the row")
    return counts
