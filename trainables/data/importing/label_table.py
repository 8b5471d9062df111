"""Tables of labels in CSV, JSON lines or Parquet: columns by name, every value as text.

Ids of 18 digits do not survive as floating-point numbers. Such a column is read where all of its
numbers are whole and below 2**53, as pandas makes them of whole numbers, and refused otherwise.
"""

import csv
import difflib
import gzip
import json
import math
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainables.data.dataset import DataError
from trainables.data.parquet import first_line

MAX_WHOLE = 2**53 - 1
SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")


def columns(path: Path) -> list[str]:
    """Names of a table's columns of texts and numbers. Raises DataError if it cannot be read."""
    with _reading(path):
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq
            from pyarrow import types

            fields = [field for field in pq.read_schema(path) if not types.is_nested(field.type)]
            return [f.name for f in fields if not types.is_binary(f.type)]
        if path.suffix == ".jsonl":
            return list(next(_objects(path), {}))
        return next(_rows(path), [])


def texts(path: Path, wanted: Sequence[str]) -> list[list[str]]:
    """The columns of these names, all of one length; what is missing is an empty text.

    Raises DataError if the table cannot be read, or a column holds floating-point numbers that are
    not whole or too large to be sure of.
    """
    with _reading(path):
        if path.suffix == ".parquet":
            return _parquet_texts(path, wanted)
        if path.suffix == ".jsonl":
            objects = list(_objects(path))
            return [[_text(path, name, entry.get(name)) for entry in objects] for name in wanted]
        rows = _rows(path)
        header = next(rows, [])
        places = [header.index(name) for name in wanted]
        found: list[list[str]] = [[] for _ in wanted]
        for row in rows:
            for column, place in zip(found, places, strict=True):
                column.append(row[place].strip() if place < len(row) else "")
        return found


def chosen(path: Path, has: Sequence[str], given: str | None, guesses: Sequence[str]) -> str | None:
    """The column `given`, else the first of `guesses` that a table has in any case, else None.

    Raises DataError naming the table's columns if it has not the one given.
    """
    if given is not None and given not in has:
        near = difflib.get_close_matches(given, has, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise DataError([f"{path}: no column {given!r}{hint}; it has: {', '.join(has) or 'none'}"])
    lower = {name.strip().lower(): name for name in reversed(has)}
    return given or next((lower[guess] for guess in guesses if guess in lower), None)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except DataError:
        raise
    except (
        *(pa.ArrowException, csv.Error, OSError, ValueError, RecursionError, EOFError, zlib.error),
    ) as error:
        raise DataError([f"{path}: not readable ({first_line(error)}); export it again"]) from error


def _rows(path: Path) -> Iterator[list[str]]:
    """The rows of a CSV file that are not empty, its header first."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as handle:
        header = handle.readline()
        handle.seek(0)
        separator = max("\t;,", key=header.count)
        for row in csv.reader(handle, delimiter=separator):
            if row:
                yield row


def _objects(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8-sig") as handle:
        for number, line in enumerate(handle, 1):
            if line.strip():
                entry = json.loads(line)
                if not isinstance(entry, dict):
                    raise DataError([f"{path}, line {number}: no JSON object; write one per line"])
                yield entry


def _parquet_texts(path: Path, wanted: Sequence[str]) -> list[list[str]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path, columns=list(dict.fromkeys(wanted)))
    found = []
    for name in wanted:
        column = table.column(name)
        if pa.types.is_dictionary(column.type):  # a category of pandas
            column = column.cast(column.type.value_type)
        if pa.types.is_floating(column.type):
            found.append([_text(path, name, value) for value in column.to_pylist()])
        else:
            found.append(column.cast(pa.string()).fill_null("").to_pylist())
    return found


def _text(path: Path, name: str, value: object) -> str:
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, float):
        if not value.is_integer() or abs(value) > MAX_WHOLE:
            raise _float(path, name)
        return str(int(value))
    return "" if value is None else str(value)


def _float(path: Path, name: str) -> DataError:
    return DataError(
        [
            f"{path}: column {name!r} holds floating-point numbers, which do not keep long ids; "
            "store it as text or as whole numbers"
        ]
    )
