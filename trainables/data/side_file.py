"""`dataset.json`, the side file of a data set: reports every mistake when read, written atomically.

It is written last, so a folder that has one is complete.
"""

import json
import math
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainables import records
from trainables.data.dataset import (
    FORMAT_VERSION,
    SIDE_FILE,
    SPLITS,
    WHOLE,
    DataError,
    Dataset,
    Symmetries,
)
from trainables.data.parquet import SHARD_NAME


def made_by(folder: Path) -> str:
    """How the side file of `folder` is made, as a command that can be pasted."""
    return f"make it with: python -m trainables.data describe {shlex.quote(str(folder))}"


def read(folder: Path) -> Dataset:
    """The data set that `dataset.json` describes; its shards are not checked.

    Raises:
        DataError: every entry that is missing or wrong.
    """
    path = folder / SIDE_FILE
    if not path.is_file():
        raise DataError([f"{path}: missing; {made_by(folder)}"])
    try:
        document = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError([f"{path}: no readable JSON ({error}); {made_by(folder)}"]) from error
    problems = _problems(document)
    if problems:
        raise DataError(
            [f"{path}: {problem}; correct it or {made_by(folder)}" for problem in problems]
        )
    return Dataset.from_document(folder, document)


def write(dataset: Dataset) -> None:
    """Write `dataset.json`, whole or not at all."""
    text = json.dumps(dataset.document(), indent=1, ensure_ascii=False)
    records.replace(dataset.path / SIDE_FILE, f"{text}\n")


def _problems(document: Any) -> list[str]:
    if not isinstance(document, dict):
        return ["holds no object"]
    problems = []
    for key, (wanted, holds) in _WANTED.items():
        if key not in document:
            problems.append(f"{key!r} is missing, wanted {wanted}")
        elif not holds(document[key]):
            problems.append(f"{key!r} should be {wanted}, is {_short(document[key])}")
    if "bits" in document and document["bits"] not in range(8, WHOLE + 1):
        problems.append(f"'bits' should be a number from 8 to 16, is {_short(document['bits'])}")
    if not problems:
        classes = len(document["classes"])
        problems = [
            f"'splits' counts {len(document['splits'][split]['counts'])} classes in {split}, "
            f"'classes' names {classes}"
            for split in SPLITS
            if len(document["splits"][split]["counts"]) != classes
        ]
    return problems


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _rgb(value: object, low: float) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 3
        and all(_number(v) and low <= v <= 1 for v in value)
    )


def _record(value: object, **fields: Callable[[Any], bool]) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == fields.keys()
        and all(holds(value[key]) for key, holds in fields.items())
    )


def _counts(value: object) -> bool:
    return isinstance(value, list) and all(_count(v) for v in value)


def _shard(value: object) -> bool:
    # The pattern keeps a name inside the folder.
    return _record(
        value,
        file=lambda name: isinstance(name, str) and SHARD_NAME.fullmatch(name) is not None,
        rows=_count,
        bytes=_count,
        sha256=_text,
    )


_WANTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "format_version": (f"the number {FORMAT_VERSION}", lambda v: v == FORMAT_VERSION),
    "name": ("a name", _text),
    "classes": (
        "a list of two or more different names",
        lambda v: isinstance(v, list) and all(map(_text, v)) and len(set(v)) == len(v) >= 2,
    ),
    "splits": (
        'for each of train, valid and test {"rows": n, "counts": [one per class]}',
        lambda v: _record(
            v, **dict.fromkeys(SPLITS, lambda s: _record(s, rows=_count, counts=_counts))
        ),
    ),
    "mean": ("three numbers from 0 to 1", lambda v: _rgb(v, 0)),
    "std": ("three numbers above 0, at most 1", lambda v: _rgb(v, 1e-6)),
    "image_size": ("a positive number of pixels", lambda v: _count(v) and v > 0),
    "symmetries": (
        f"an object of {', '.join(Symmetries.__slots__)}",
        lambda v: _record(
            v,
            rotation_degrees=lambda d: _number(d) and 0 <= d <= 180,
            horizontal_flip=lambda f: isinstance(f, bool),
            vertical_flip=lambda f: isinstance(f, bool),
        ),
    ),
    "shards": (
        'a list of {"file": "train-00000-of-00001.parquet", "rows", "bytes", "sha256"}',
        lambda v: isinstance(v, list) and len(v) > 0 and all(map(_shard, v)),
    ),
    "source": ("a text", _text),
    "licence": ("a text", _text),
}
