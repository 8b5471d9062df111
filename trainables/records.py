"""Small files that survive a crash: JSON lines appended, JSON documents replaced in one rename."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The JSON lines of `path` (none if it is missing); a last line torn by a crash is left out."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1]]


def append_line(path: Path, line: dict[str, Any], *, sync: bool) -> None:
    """Append one JSON line; with `sync` it is on disk before this returns."""
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")
        if sync:
            file.flush()
            os.fsync(file.fileno())


def replace(path: Path, text: str) -> None:
    """Write beside and rename, so that neither a reader nor a crash ever sees half a file."""
    draft = path.with_name(f".{path.name}.draft")
    with draft.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def replace_lines(path: Path, lines: Iterable[dict[str, Any]]) -> None:
    replace(path, "".join(json.dumps(line) + "\n" for line in lines))


def replace_json(path: Path, content: Any) -> None:
    replace(path, json.dumps(content, indent=1) + "\n")
