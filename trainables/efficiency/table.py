"""Rows of measurements as an Arrow table; each field says its unit and meaning."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from trainables.efficiency.summary import PASSES, STATISTICS, TRIED, summarise
from trainables.metrics import EFFICIENCY

_NUMBER, _TEXT = pa.float64(), pa.string()
_BY_NAME = pa.map_(_TEXT, _NUMBER)
_TEXTS = ("key", "label", "model", "architecture", "device")
_TEXTS += ("precision", "training_precision", "mode", "versions")
_COUNTS = {"image_size": "px", "num_classes": "classes", "threads": "threads"}
_COUNTS |= {"repeats": "fresh processes", "failures": "fresh processes"}
_SECONDS = "timing_seconds"
# units by the end of a number's name
_UNITS = {
    "images_per_s": "images/s",
    "flops_per_s": "FLOP/s",
    "peak_flops": "FLOP/s",
    "joules": "J",
    "watts": "W",
    "celsius": "°C",
    "hz": "Hz",
    "bytes": "bytes",
    "ms": "ms",
    "seconds": "s",
    "cores": "cores",
    "threads": "threads",
    "batch_size": "images",
    PASSES: "passes",
}


def unit(name: str) -> str:
    """The unit of a number: that of the catalogue, else the one that its name says, else 1."""
    if name in EFFICIENCY:
        return EFFICIENCY[name].unit
    return next((u for end, u in _UNITS.items() if f"_{name}".endswith(f"_{end}")), "1")


def arrow(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """The table of `rows`, each with the columns of an identity and of a row of `summarise`.

    It has the columns of every catalogued number, and all others that the rows hold; values whose
    types differ between rows become JSON. The metadata of a field are its `unit`, the `meaning` of
    a catalogued number and the `statistic`.
    """
    known = (*_TEXTS, *_COUNTS, _SECONDS, *summarise([]))
    names = dict.fromkeys((*known, *(name for row in rows for name in row)))
    fields = [_field(name, [row.get(name) for row in rows]) for name in names]
    columns = [
        pa.array((_stored(row.get(field.name), field.type) for row in rows), type=field.type)
        for field in fields
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema(fields))


def _stored(value: Any, kind: pa.DataType) -> Any:
    """A value as Arrow takes it: a map as its items."""
    if value is not None and pa.types.is_string(kind) and not isinstance(value, str):
        return json.dumps(value)
    return list(value.items()) if isinstance(value, Mapping) else value


def _measured(name: str, kind: pa.DataType) -> pa.Field:
    """The field of a number, of one of its statistics, or of numbers by name."""
    statistic = next(end for end in reversed(STATISTICS) if name.endswith(end))
    number = name.removesuffix(statistic)
    about = {"unit": "1" if statistic == "_spread" else unit(number)}
    about["statistic"] = STATISTICS[statistic]
    if number in EFFICIENCY:
        about["meaning"] = EFFICIENCY[number].meaning
    return pa.field(name, kind, metadata=about)


def _field(name: str, values: Sequence[Any]) -> pa.Field:
    if name in _COUNTS:
        return pa.field(name, pa.int64(), metadata={"unit": _COUNTS[name]})
    if name == _SECONDS:
        return pa.field(name, _NUMBER, metadata={"unit": unit(name)})
    if name == "throughputs":
        return pa.field(name, pa.list_(pa.struct([_tried(part) for part in ("repeat", *TRIED)])))
    if name == "reasons":
        return pa.field(name, pa.map_(_TEXT, _TEXT))
    kinds = {_kind(value) for value in values if value is not None}
    kind = _TEXT if name in _TEXTS or len(kinds) > 1 else next(iter(kinds), _NUMBER)
    return _measured(name, kind) if kind in (_NUMBER, _BY_NAME) else pa.field(name, kind)


def _kind(value: Any) -> pa.DataType:
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, Mapping):
        return _BY_NAME
    return _TEXT if isinstance(value, str) else _NUMBER


def _tried(name: str) -> pa.Field:
    kind = _NUMBER if "images_per_s" in name else pa.int64()
    return pa.field(name, kind, metadata={"unit": unit(name)})
