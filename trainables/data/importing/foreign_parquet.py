"""Parquet files of images that others wrote: checked first, then read by row groups."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import DataError
from trainables.data.importing import label_table
from trainables.data.importing.image_files import MAX_FILE_BYTES
from trainables.data.parquet import first_line, names_in

if TYPE_CHECKING:
    import pyarrow as pa

IMAGES = ("image", "img", "jpg")
MAX_GROUP_BYTES = 4 * 2**30
GROUPS_KEPT = 2


@dataclass(frozen=True)
class ForeignFile:
    """A Parquet file of images: its columns, the classes it names, where its row groups end."""

    path: Path
    relative: str
    image: str
    label: str
    id_column: str | None
    names: tuple[str, ...] | None
    by_number: bool
    ends: NDArray[np.int64]

    @classmethod
    def opened(cls, source: Path, relative: str, label: str, id_column: str | None) -> Self:
        """Raises DataError with all that is wrong with the file, its images aside."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = source / relative
        try:
            schema, metadata = pq.read_schema(path), pq.read_metadata(path)
        except (pa.ArrowException, OSError) as error:
            reason = first_line(error)
            raise DataError([f"{path}: damaged ({reason}); copy the file again"]) from error
        image = next((name for name in IMAGES if name in schema.names), IMAGES[0])
        mistakes = _schema_mistakes(schema, image, label, id_column)
        groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
        largest = max((group.total_byte_size for group in groups), default=0)
        if largest > MAX_GROUP_BYTES:
            mistakes.append(f"a row group of {largest / 1e9:.1f} GB; write smaller ones")
        if mistakes:
            raise DataError([f"{path}: {mistake}" for mistake in mistakes])
        return cls(
            path=path,
            relative=relative,
            image=image,
            label=label,
            id_column=id_column,
            names=tuple(names) if (names := names_in(schema, label)) else None,
            by_number=pa.types.is_integer(_value_type(schema.field(label).type)),
            ends=np.cumsum([group.num_rows for group in groups], dtype=np.int64),
        )

    @property
    def num_rows(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def ids_and_labels(self) -> tuple[list[str], list[str]]:
        """Of every row. Raises DataError if the file is damaged there."""
        columns = [self.label, *([self.id_column] if self.id_column else [])]
        labels, *ids = label_table.texts(self.path, columns)
        return (ids[0] if ids else [f"{self.relative}:{row}" for row in range(len(labels))]), labels


class ForeignImages:
    """Reads image `i`: row `rows[i]` of all files together. Keeps the last row groups."""

    def __init__(self, files: Sequence[ForeignFile], rows: NDArray[np.int64]):
        self._files, self._rows = files, rows
        self._ends = np.cumsum([file.num_rows for file in files])
        self._lock = threading.Lock()
        self._groups: OrderedDict[tuple[int, int], pa.ChunkedArray] = OrderedDict()

    def __call__(self, index: int) -> bytes:
        row = int(self._rows[index])
        which = int(np.searchsorted(self._ends, row, side="right"))
        file = self._files[which]
        row -= int(self._ends[which]) - file.num_rows
        group = int(np.searchsorted(file.ends, row, side="right"))
        row -= int(file.ends[group - 1]) if group else 0
        with self._lock:
            encoded = self._group(which, group)[row].as_py()
        if encoded is None:
            raise OSError("no bytes, and a path alone is not followed")
        if len(encoded) > MAX_FILE_BYTES:
            raise OSError(f"{len(encoded):,} bytes, more than {MAX_FILE_BYTES // 2**20} MiB")
        return encoded

    def _group(self, which: int, group: int) -> "pa.ChunkedArray":
        import pyarrow as pa
        import pyarrow.parquet as pq

        found = self._groups.get((which, group))
        if found is None:
            file = self._files[which]
            try:
                with pq.ParquetFile(file.path, page_checksum_verification=True) as opened:
                    struct = pa.types.is_struct(opened.schema_arrow.field(file.image).type)
                    column = f"{file.image}.bytes" if struct else file.image
                    found = opened.read_row_group(group, columns=[column]).flatten().column(0)
            except (pa.ArrowException, OSError) as error:
                raise OSError(f"row group {group} is damaged ({first_line(error)})") from error
            self._groups[which, group] = found
            while len(self._groups) > GROUPS_KEPT:
                self._groups.popitem(last=False)
        return found


def _schema_mistakes(
    schema: "pa.Schema", image: str, label: str, id_column: str | None
) -> list[str]:
    import pyarrow.types as kinds

    missing = [n for n in (image, label, id_column) if n and schema.get_field_index(n) < 0]
    if missing:
        has = ", ".join(f"{field.name} {field.type}" for field in schema) or "none"
        said = f"no single column {' and '.join(missing)}; it has: {has}"
        return [f"{said}; name those of labels and ids with --label-column and --id-column"]
    kind = schema.field(image).type
    if kinds.is_struct(kind):
        kind = next((field.type for field in kind if field.name == "bytes"), kind)
    mistakes = []
    if not (kinds.is_binary(kind) or kinds.is_large_binary(kind)):
        mistakes.append(f"column {image} is {kind}; wanted: bytes, or a struct with bytes")
    kind = _value_type(schema.field(label).type)
    texts = kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)
    if not (texts or kinds.is_integer(kind) or kinds.is_boolean(kind)):
        mistakes.append(f"column {label} is {kind}; wanted: whole numbers or texts")
    return mistakes


def _value_type(kind: "pa.DataType") -> "pa.DataType":
    """The type of a column's values, of a category of pandas too."""
    import pyarrow as pa

    return kind.value_type if isinstance(kind, pa.DictionaryType) else kind
