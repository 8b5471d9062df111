"""Files of images under a folder: found in order, and read only if they lie inside it."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
MAX_FILE_BYTES = 256 * 2**20


def is_image(name: str) -> bool:
    """Whether a file's name has the suffix of an image."""
    return name.lower().endswith(SUFFIXES)


def hidden(name: str) -> bool:
    """Whether a name is of a file or folder that systems leave behind."""
    return name.startswith((".", "__MACOSX"))


def walk(folder: Path, problems: list[tuple[str, str]], within: str = "") -> Iterator[str]:
    """Paths of all files below `folder / within`, relative to `folder`, sorted in each folder.

    Hidden ones are passed over. Names that cannot be printed and links that are no plain way to a
    file inside `folder` are added to `problems`; links to folders are never followed.
    """
    with os.scandir(folder / within) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        relative = f"{within}/{entry.name}" if within else entry.name
        if hidden(entry.name):
            continue
        if not entry.name.isprintable():  # nor is what is no UTF-8
            problems.append((ascii(relative), "its name cannot be printed; rename it"))
        elif entry.is_dir(follow_symlinks=False):
            yield from walk(folder, problems, relative)
        elif entry.is_symlink() and (reason := _bad_link(folder, relative)):
            problems.append((relative, reason))
        else:
            yield relative


def folders(folder: Path, problems: list[tuple[str, str]]) -> list[str]:
    """Names of the folders in `folder`, sorted; links to folders are added to `problems`."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if hidden(entry.name) or not entry.is_dir():
                continue
            if entry.is_symlink():
                problems.append((entry.name, "a link to a folder is not followed"))
            else:
                found.append(entry.name)
    return sorted(found)


def escapes(relative: str) -> bool:
    """Whether a path that a source names is absolute or leads upwards."""
    return PurePosixPath(relative).is_absolute() or ".." in PurePosixPath(relative).parts


def read_inside(root: Path, relative: str) -> bytes:
    """The bytes of the regular file `root / relative`; `root` is resolved already.

    Raises OSError if it is not there, is of another kind, larger than 256 MiB, or leads outside.
    """
    path = (root / relative).resolve(strict=True)
    if not path.is_relative_to(root):
        raise OSError(f"leads outside {root}")
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise OSError("not a regular file")
    if state.st_size > MAX_FILE_BYTES:
        raise OSError(f"{state.st_size:,} bytes, more than {MAX_FILE_BYTES // 2**20} MiB")
    return path.read_bytes()


class Reader:
    """Reads image `i` of a listing: the file `paths[i]` below `root`."""

    def __init__(self, root: Path, paths: Sequence[str]):
        self._root = root.resolve()
        self._paths = paths

    def __call__(self, index: int) -> bytes:
        return read_inside(self._root, self._paths[index])


def _bad_link(folder: Path, relative: str) -> str | None:
    try:
        target = (folder / relative).resolve(strict=True)
    except (OSError, RuntimeError) as error:
        return f"a link that leads nowhere ({getattr(error, 'strerror', None) or 'a loop'})"
    if target.is_dir():
        return "a link to a folder is not followed"
    return None if target.is_relative_to(folder.resolve()) else f"a link that leaves {folder}"
