"""MATLAB files of level 5 (MATLAB 5 to 7.2), after MathWorks' "MAT-File Format": read, not written.

Published data sets come with them; numpy alone reads what those hold.
"""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.dataset import DataError

MAX_MAT_BYTES = 64 * 2**20
MATRIX, COMPRESSED = 14, 15
CELL, STRUCT, CHAR = 1, 2, 4
NUMBERS = {
    **{1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4"},
    **{7: "f4", 9: "f8", 12: "i8", 13: "u8"},
}
TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}


def single(value: object) -> int | None:
    """The whole number that a field of a MATLAB struct holds, if it holds just one."""
    if isinstance(value, np.ndarray) and value.size == 1 and float(value[0]).is_integer():
        return int(value[0])
    return None


def mat_variables(path: Path, *names: str) -> list[Any]:
    """Variables of a MATLAB file by name; DataError if it is damaged, or lacks one of them."""
    variables = read_mat(path)
    if lacking := [name for name in names if name not in variables]:
        has = ", ".join(variables) or "none"
        raise DataError(
            [f"{path}: no variable {' and no '.join(lacking)}; it has: {has}; copy the file again"]
        )
    return [variables[name] for name in names]


def read_mat(path: Path) -> dict[str, Any]:
    """All variables of a level 5 MATLAB file.

    Numbers are 1-D arrays (column by column), texts are str, cell arrays are lists and struct
    arrays are lists of dicts. Raises DataError if the file is damaged or of another level.
    """
    fix = "copy it again, or save it in MATLAB with -v7"
    if path.stat().st_size > MAX_MAT_BYTES:
        raise DataError([f"{path}: more than {MAX_MAT_BYTES // 2**20} MiB; {fix}"])
    data = path.read_bytes()
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None or struct.unpack(f"{order}H", data[124:126])[0] != 0x0100:
        raise DataError([f"{path}: no MATLAB file of level 5 (MATLAB 5 to 7.2); {fix}"])
    try:
        return dict(_matrices(memoryview(data)[128:], order))
    except (ValueError, LookupError, RecursionError, struct.error, zlib.error) as error:
        raise DataError([f"{path}: damaged ({error}); {fix}"]) from error


def _matrices(data: memoryview, order: str) -> Iterator[tuple[str, Any]]:
    for kind, payload in _elements(data, order):
        if kind == MATRIX:
            yield _matrix(payload, order)
        elif kind == COMPRESSED:
            unpacker = zlib.decompressobj()
            unpacked = memoryview(unpacker.decompress(payload, MAX_MAT_BYTES))
            if unpacker.unconsumed_tail:
                raise ValueError(f"more than {MAX_MAT_BYTES // 2**20} MiB unpacked")
            yield from (_matrix(part, order) for kind, part in _elements(unpacked, order))


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """(type, bytes) of the data elements in a row; small ones share eight bytes with their tag."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        start = at + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
        if start + size > len(data):
            raise ValueError("cut short")
        yield kind, data[start : start + size]
        at = start + size + (-(start + size - at) % 8 if kind != COMPRESSED else 0)


def _matrix(data: memoryview, order: str) -> tuple[str, Any]:
    """Name and value of an array."""
    parts = _elements(data, order)
    flags = next(parts, None)
    if flags is None:
        return "", np.zeros(0)
    kind = int(_numbers(*flags, order)[0]) & 0xFF
    shape, name = _numbers(*_next(parts), order), _text(*_next(parts), order)
    if kind == CELL:
        return name, [_matrix(part, order)[1] for _, part in parts]
    if kind == STRUCT:
        length = int(_numbers(*_next(parts), order)[0])
        joined = bytes(_next(parts)[1])
        fields = [
            joined[start : start + length].split(b"\0")[0].decode("latin-1")
            for start in range(0, len(joined), length)
        ]
        values = [_matrix(part, order)[1] for _, part in parts]
        if len(values) != len(fields) * int(np.prod(shape)):
            raise ValueError(f"{len(values)} values for {len(fields)} fields of {shape.tolist()}")
        width = len(fields)
        rows = (values[at : at + width] for at in range(0, len(values), width or 1))
        return name, [dict(zip(fields, row, strict=True)) for row in rows]
    if kind == CHAR:
        return name, _text(*next(parts, (16, memoryview(b""))), order)
    return name, _numbers(*_next(parts), order)


def _next(parts: Iterator[tuple[int, memoryview]]) -> tuple[int, memoryview]:
    for part in parts:
        return part
    raise ValueError("cut short")


def _numbers(kind: int, data: memoryview, order: str) -> np.ndarray:
    return np.frombuffer(data, np.dtype(f"{order}{NUMBERS[kind]}"))


def _text(kind: int, data: memoryview, order: str) -> str:
    encoding = TEXTS[kind]
    ending = ("-le" if order == "<" else "-be") if encoding in ("utf-16", "utf-32") else ""
    return bytes(data).decode(encoding + ending)
