"""Files of images under a folder: found in order, and read only from where they were found."""

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".jfi", ".mpo", ".png", ".apng", ".webp"),
    *(".bmp", ".dib", ".tif", ".tiff", ".gif"),
)
MAX_FILE_BYTES = 256 * 2**20
BACK = "a link back to a folder that holds it"
# control characters, ends of lines and paragraphs, and halves of characters, which no UTF-8 has
UNPRINTABLE = ("Cc", "Zl", "Zp", "Cs")
TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # would reorder a message


def is_image(name: str) -> bool:
    """Whether a file's name has the suffix of an image."""
    return name.lower().endswith(SUFFIXES)


def hidden(name: str) -> bool:
    """Whether a name is of a file or folder that systems leave behind."""
    return name.startswith((".", "__MACOSX"))


def printable(name: str) -> bool:
    """Whether a message can show a name; spaces of any width can be shown."""
    if name.isprintable():
        return True
    return not any(unicodedata.category(c) in UNPRINTABLE or c in TURNING for c in name)


class Tree:
    """A source's folders and files, relative to its `root`; hidden ones are passed over.

    Links are followed wherever they lead, and kept in `links` with what they lead to: a reader
    reads no other. Folders in `leave` are passed over: they are no part of the source. What cannot
    be followed, printed or opened is added to `problems`.
    """

    def __init__(self, root: Path, leave: Sequence[Path] = ()):
        self.root = root
        self.problems: list[tuple[str, str]] = []
        self.links: dict[str, Path] = {}
        self._refused: set[str] = set()
        self._leave = {path.resolve() for path in leave}
        self._left_names = {path.name for path in self._leave}

    def walk(self, within: str = "") -> Iterator[str]:
        """Paths of all files below `root / within`, sorted in each folder."""
        self.enter(within)
        yield from self._walk(within, ((self.root / within).resolve(),))

    def folders(self, within: str = "") -> list[str]:
        """Names of the folders in `root / within`, sorted."""
        self.enter(within)
        found = self._entries(within)
        return [e.name for e, path in found if self._is_folder(e, path) and not self._left(e)]

    def images(self, within: str = "") -> list[str]:
        """Names of the images that lie in `root / within` itself, sorted."""
        self.enter(within)
        found = self._entries(within)
        return [e.name for e, path in found if is_image(e.name) and not self._is_folder(e, path)]

    def enter(self, within: str) -> None:
        """Notes the links on the way to a folder, so that what lies in it may be read."""
        parts = PurePosixPath(within).parts
        for path in map(str, (PurePosixPath(*parts[: end + 1]) for end in range(len(parts)))):
            if (self.root / path).is_symlink():
                self._target(path)

    def notes(self) -> list[str]:
        """What a person should know of the links that were followed."""
        if not self.links:
            return []
        path, target = next(iter(self.links.items()))
        number = f"{len(self.links):,} links are" if len(self.links) > 1 else "a link is"
        return [f"{number} followed: {path} leads to {target}"]

    def reader(self, paths: Sequence[str]) -> "Reader":
        """Reads image `i`: the file `paths[i]`."""
        return Reader(self.root, paths, self.links)

    def _walk(self, within: str, above: tuple[Path, ...]) -> Iterator[str]:
        for entry, path in self._entries(within):
            if not self._is_folder(entry, path):
                if not entry.is_symlink() or self._target(path):
                    yield path
            elif not self._left(entry):
                yield from self._walk_folder(entry, path, above)

    def _walk_folder(
        self, entry: os.DirEntry[str], path: str, above: tuple[Path, ...]
    ) -> Iterator[str]:
        real = self.links[path] if entry.is_symlink() else above[-1] / entry.name
        if entry.is_symlink() and any(folder.is_relative_to(real) for folder in above):
            self._refuse(path, BACK)
        else:
            yield from self._walk(path, (*above, real))

    def _entries(self, within: str) -> list[tuple[os.DirEntry[str], str]]:
        """What is in a folder, with its path from the root."""
        try:
            with os.scandir(self.root / within) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if not within:
                raise
            self._refuse(within, f"cannot be opened ({error.strerror})")
            return []
        shown = []
        for entry in found:
            path = f"{within}/{entry.name}" if within not in ("", ".") else entry.name
            if hidden(entry.name):
                continue
            if printable(entry.name):
                shown.append((entry, path))
            else:
                self._refuse(ascii(path), "its name cannot be printed; rename it")
        return shown

    def _is_folder(self, entry: os.DirEntry[str], path: str) -> bool:
        if not entry.is_symlink():
            return entry.is_dir()
        target = self._target(path)
        return target is not None and target.is_dir()

    def _target(self, path: str) -> Path | None:
        """What a link leads to; None, and a problem, if that is nowhere or above the link."""
        if path not in self.links and path not in self._refused:
            link = self.root / path
            try:
                target = link.resolve(strict=True)
                if not link.parent.resolve().is_relative_to(target):
                    self.links[path] = target
                    return target
                reason = BACK
            except (OSError, RuntimeError) as error:
                strange = getattr(error, "strerror", None) or "a loop"
                reason = f"a link that leads nowhere ({strange})"
            self._refuse(path, reason)
        return self.links.get(path)

    def _refuse(self, path: str, reason: str) -> None:
        self.links.pop(path, None)
        if path not in self._refused:
            self._refused.add(path)
            self.problems.append((path, reason))

    def _left(self, entry: os.DirEntry[str]) -> bool:
        return entry.name in self._left_names and Path(entry.path).resolve() in self._leave


def escapes(relative: str) -> bool:
    """Whether a path that a source names is absolute or leads upwards."""
    return PurePosixPath(relative).is_absolute() or ".." in PurePosixPath(relative).parts


def kinds(paths: Sequence[str]) -> str:
    """How many files there are of each suffix, the most first."""
    found = Counter(PurePosixPath(path).suffix or "no suffix" for path in paths)
    return ", ".join(f"{count:,} {suffix}" for suffix, count in found.most_common(5))


def read_inside(root: Path, relative: str, links: Mapping[str, Path] | None = None) -> bytes:
    """The bytes of the regular file `root / relative`; `root` is resolved already.

    Raises OSError if it is not there, is of another kind, larger than 256 MiB, or leads outside by
    no link of `links`.
    """
    path = (root / relative).resolve(strict=True)
    if not path.is_relative_to(root):
        known = links or {}
        steps = (relative, *map(str, PurePosixPath(relative).parents))
        if not any(step in known and path.is_relative_to(known[step]) for step in steps):
            raise OSError(f"leads outside {root}")
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise OSError("not a regular file")
    if state.st_size > MAX_FILE_BYTES:
        raise OSError(f"{state.st_size:,} bytes, more than {MAX_FILE_BYTES // 2**20} MiB")
    return path.read_bytes()


class Reader:
    """Reads image `i` of a listing: the file `paths[i]` below `root`, or where `links` lead."""

    def __init__(self, root: Path, paths: Sequence[str], links: Mapping[str, Path] | None = None):
        self._root = root.resolve()
        self._paths, self._links = paths, links

    def __call__(self, index: int) -> bytes:
        return read_inside(self._root, self._paths[index], self._links)
