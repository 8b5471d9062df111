"""Files found by the names that tables give them, though other programs have changed those.

A name that is a file's path, or the end of one, is taken as it is. Otherwise what other programs do
to names is undone, as far as one file alone can be meant; how often, and an example, is kept.
"""

import difflib
import posixpath
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from trainables.data.importing.image_files import escapes, is_image

FLOAT = re.compile(r"(?<![^/])(\d{1,15})\.0+(?=$|\.[A-Za-z])")
DRIVE = re.compile(r"[A-Za-z]:/")
COMPARED = 5_000


def _composed(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _folded(path: str) -> str:
    return _composed(path).casefold()


def _unpadded(path: str) -> str:
    return re.sub(r"(?<!\d)0+(?=\d)", "", _folded(path))


def _without_suffix(path: str) -> str:
    return _unpadded(str(PurePosixPath(path).with_suffix("")) if is_image(path) else path)


# Each takes more for equal than the one before it.
_SAME: dict[str, Callable[[str], str]] = {
    "with accents stored otherwise": _composed,
    "in other cases": _folded,
    "with other zeros before the number": _unpadded,
    "with another suffix": _without_suffix,
}


class FileNames:
    """The files of a source by path, by its end, and by name with or without suffix.

    `paths` are all files below the folder `root`: those without the suffix of an image are found by
    their whole path or name alone.
    """

    def __init__(self, paths: Iterable[str], root: Path | None = None):
        self._named = set(paths)
        self.images = [path for path in self._named if is_image(path)]
        self._roots = () if root is None else (root.absolute(), root.resolve())
        self._by_end = self._index(str)
        self._by_kind: dict[str, dict[str, list[str]]] = {}
        self._repairs: dict[str, tuple[int, str, str]] = {}
        self._example: tuple[str, str | None] | None = None

    def find(self, name: str, prefix: str = "") -> tuple[str | None, str]:
        """The file of this name, or None and why there is none; `prefix` is the table's folder."""
        if not name:
            return None, "a row without a file"
        plain = PurePosixPath(name).as_posix()
        if not escapes(name):
            found, reason = self._as_it_is(plain, prefix)
            if found or reason:
                return found, reason
        for how, path in self._rewritten(name, prefix):
            found, reason = self._as_it_is(path, prefix)
            if found:
                return self._repaired(how, name, found)
            for same, key in _SAME.items():
                meant = self._by_end_as(same).get(key(path), ())
                if len(meant) == 1:
                    said = f"{how} and {same}" if how else same
                    return self._repaired(said, name, meant[0])
                if meant:
                    return None, _several(meant)
        if escapes(name) or DRIVE.match(name.replace("\\", "/")):
            return None, "leaves the folder of the images"
        return None, "no such image" + self._nearest(plain)

    def notes(self) -> list[str]:
        """What was undone, with how many names and an example each."""
        return [
            f"{count:,} names were found {how}, such as {name!r}: {path}"
            for how, (count, name, path) in self._repairs.items()
        ]

    def _as_it_is(self, path: str, prefix: str) -> tuple[str | None, str]:
        for whole in (prefix + path, path):
            if whole in self._named:
                return whole, ""
            found = self._by_end.get(whole, ())
            if len(found) == 1:
                return found[0], ""
            if found:
                return None, _several(found)
        return None, ""

    def _rewritten(self, name: str, prefix: str) -> Iterator[tuple[str, str]]:
        """(how, path) of what a name may have been before another program wrote it."""
        if not escapes(name):
            yield "", PurePosixPath(name).as_posix()
        path, how = name, []
        for said, change in (
            ("with backslashes for slashes", lambda text: text.replace("\\", "/")),
            ("without the .0 of a floating-point number", lambda text: FLOAT.sub(r"\1", text)),
            ("with %20 and the like decoded", unquote),
        ):
            changed = change(path)
            if changed != path:
                path, how = changed, [*how, said]
                if not escapes(path):
                    yield " and ".join(how), PurePosixPath(path).as_posix()
        for said, inside in self._inside(path, prefix):
            yield " and ".join([*how, said]), inside

    def _inside(self, path: str, prefix: str) -> Iterator[tuple[str, str]]:
        """What a path from elsewhere names inside the source."""
        pure = PurePosixPath(path)
        if ".." in pure.parts:
            level = posixpath.normpath(posixpath.join(prefix, path))
            if not escapes(level):
                yield "by paths that lead upwards", level
            return
        for root in self._roots:
            if pure.is_absolute() and pure.is_relative_to(root):
                yield "by absolute paths", pure.relative_to(root).as_posix()
                return
        elsewhere = pure.is_absolute() or DRIVE.match(path)
        for start in range(1, len(pure.parts)):
            end = "/".join(pure.parts[start:])
            # a name alone says too little, unless all that comes before it is of another place
            above = any(pure.parts[:start] == (root.name,) for root in self._roots)
            if end in self._named and ("/" in end or elsewhere or above):
                yield "by the ends of paths of another place", end
                return

    def _index(self, key: Callable[[str], str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in sorted(self._named):
            pure = PurePosixPath(path)
            ends = {path, pure.name}
            if is_image(path):
                ends |= {str(pure.with_suffix("")), pure.stem}
            for end in {key(end) for end in ends}:
                found.setdefault(end, []).append(path)
        return found

    def _by_end_as(self, same: str) -> dict[str, list[str]]:
        if same not in self._by_kind:
            self._by_kind[same] = self._index(_SAME[same])
        return self._by_kind[same]

    def _repaired(self, how: str, name: str, path: str) -> tuple[str, str]:
        count, first, its_path = self._repairs.get(how, (0, name, path))
        self._repairs[how] = (count + 1, first, its_path)
        return path, ""

    def _nearest(self, name: str) -> str:
        """The file that is most like the first name that none has: one is enough to see why."""
        if self._example is not None:
            return ""
        some = sorted(self._named)[:: max(1, len(self._named) // COMPARED)]
        near = difflib.get_close_matches(name, some, 1, cutoff=0.0)
        self._example = (name, near[0] if near else None)
        return f" (the nearest file is {near[0]})" if near else " (there is no file)"


def _several(paths: list[str]) -> str:
    return f"{len(paths)} files have this name, such as {', '.join(paths[:2])}"
