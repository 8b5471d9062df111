"""Small files that survive a crash: JSON lines appended, JSON documents replaced in one rename."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of `path`, none if it is missing; leaves out a last line torn by a crash."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def append_line(path: Path, line: dict[str, Any], *, sync: bool) -> None:
    """Append one JSON line; with `sync`, it is on disk before this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
        if sync:
            file.flush()
            os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Bring to disk what was written to a file, or renamed in a folder."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield a path to write to; at the end of the block, the file there replaces `path`.

    So neither a reader nor a crash ever leaves half a file.
    """
    draft = path.with_name(f".{path.name}.draft")
    yield draft
    sync(draft)
    draft.replace(path)


def replace(path: Path, text: str) -> None:
    """Replace the content of `path` with `text`, all of it or nothing."""
    with beside(path) as draft:
        draft.write_text(text, encoding="utf-8")


def replace_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    replace(path, "".join(json.dumps(line) + "\n" for line in lines))


def replace_json(path: Path, content: Any) -> None:
    replace(path, json.dumps(content, indent=1) + "\n")
