"""Small files that survive a crash: JSON lines appended, JSON documents replaced in one rename.

Each line carries a digest of itself, so that a changed or damaged one is noticed, and named.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_SEAL, _DIGITS = "sha256", 16


def _sealed(line: dict[str, Any]) -> str:
    """A line as it is written: JSON, and in it a digest of what else it holds."""
    return json.dumps(line | {_SEAL: _digest(line)}) + "\n"


def _digest(line: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(line).encode()).hexdigest()[:_DIGITS]


def parse(text: bytes) -> dict[str, Any]:
    """What was written as a line. Raises ValueError if it is not what was written.

    Lines of earlier versions have no digest: they only have to be JSON objects.
    """
    line = json.loads(text)
    if not isinstance(line, dict):
        raise ValueError("no JSON object")
    seal = line.pop(_SEAL, None)
    if seal is not None and seal != _digest(line):
        raise ValueError("not what was written: its digest differs")
    return line


class Lines(NamedTuple):
    """The lines of a file that are sound, what is wrong with the others, whether all are sealed."""

    sound: list[Any]
    damages: list[str]
    sealed: bool


def scan(path: Path, read: Callable[[dict[str, Any]], Any] = dict) -> Lines:
    """The lines of `path`, each as `read` makes it out; a damaged one is named and left out.

    A last line torn by a crash is left out, too, and not named: it was never written. `read` raises
    KeyError, TypeError or ValueError for a line that says nothing to it.
    """
    found = Lines([], [], sealed=True)
    if not path.exists():
        return found
    sealed = True
    for number, text in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            found.sound.append(read(parse(text)))
            sealed = sealed and f'"{_SEAL}"'.encode() in text
        except (KeyError, TypeError, ValueError) as error:
            found.damages.append(f"{path}, line {number} is damaged ({error})")
    return found._replace(sealed=sealed)


def append_line(path: Path, line: dict[str, Any], *, sync: bool) -> None:
    """Append one JSON line; with `sync`, it is on disk before this returns."""
    with path.open("a", encoding="utf-8") as file:
        file.write(_sealed(line))
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
    replace(path, "".join(map(_sealed, lines)))


def replace_json(path: Path, content: Any) -> None:
    replace(path, json.dumps(content, indent=1) + "\n")
