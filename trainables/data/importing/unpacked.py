"""Images of an unpacked archive, gathered into a listing, and messages on what it lacks."""

from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import overload

import numpy as np

from trainables.data.importing import published_sets
from trainables.data.importing.image_files import Tree, is_image
from trainables.data.importing.listing import Listing

NO_SPLIT = -1
ARCHIVES = (".tar", ".tgz", ".gz", ".zip")
SHOWN = 6


class Paths(Sequence[str]):
    """Paths in one buffer: the 11 million of ImageNet-21k take 0.4 GB instead of 1.2."""

    def __init__(self) -> None:
        self._folders: list[str] = []
        self._folder = array("i")
        self._names = bytearray()
        self._ends = array("q")

    def append(self, path: str) -> None:
        """Adds a path; a UnicodeEncodeError, if its name is not UTF-8, leaves all as it was."""
        folder, _, name = path.rpartition("/")
        self._names += name.encode()
        self._ends.append(len(self._names))
        if not self._folders or self._folders[-1] != folder:
            self._folders.append(folder)
        self._folder.append(len(self._folders) - 1)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        row = range(len(self))[index]
        if isinstance(row, range):
            return [self[each] for each in row]
        start = self._ends[row - 1] if row else 0
        name = self._names[start : self._ends[row]].decode()
        folder = self._folders[self._folder[row]]
        return f"{folder}/{name}" if folder else name


class Images:
    """Gathers the images of a source: their ids are their paths inside it."""

    def __init__(self, source: Path):
        self.source, self._tree = source, Tree(source)
        self.problems = self._tree.problems
        self._paths, self._labels, self._splits = Paths(), array("q"), array("b")
        self._others: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._paths)

    def add(self, path: str, label: int, split: int) -> None:
        """Adds one image; whether it is there and whole is seen when it is read."""
        try:
            self._paths.append(path)
        except UnicodeEncodeError:
            self.problems.append((ascii(path), "its name is not UTF-8; rename it"))
            return
        self._labels.append(label)
        self._splits.append(split)

    def add_named(self, path: str, label: int, split: int) -> None:
        """Adds one image that a list names; links on the way to it are followed."""
        self._tree.enter(path)
        self.add(path, label, split)

    def files(self, folder: str) -> Iterator[str]:
        """Paths of all images below a folder of the source, in order; other files are counted."""
        for path in self._tree.walk(folder):
            if is_image(path):
                yield path
            else:
                self._others[PurePosixPath(path).suffix or "no suffix"] += 1

    def add_classes(self, folder: str, classes: Sequence[str], split: int) -> list[str]:
        """Adds all images under `folder/CLASS` for each class; returns mistakes of the folders.

        The label of an image is the place of its class in `classes`. A class without a folder is
        no mistake: the folder may be that of another split.
        """
        if mistakes := unreadable(self.source, folder):
            return mistakes
        within = "" if folder == "." else f"{folder}/"
        present = set(self._tree.folders(folder))
        self.problems += [
            (f"{within}{name}", "in no folder of a class; move it into one, or remove it")
            for name in self._tree.images(folder)
        ]
        mistakes = [
            f"{self.source / folder / name}: none of the classes of train; add it there, or remove "
            "this folder"
            for name in sorted(present.difference(classes))
            if within
        ]
        for label, name in enumerate(classes):
            before = len(self) + len(self.problems)
            for path in self.files(within + name) if name in present else ():
                self.add(path, label, split)
            if name in present and len(self) + len(self.problems) == before:
                mistakes.append(f"{self.source / folder / name}: empty; fill or remove this folder")
        return mistakes

    def listing(self, classes: Sequence[str], name: str) -> Listing:
        """What was added, as the published set `name` with notes on how it differs from it."""
        labels = np.frombuffer(self._labels, np.int64) if self._labels else np.zeros(0, np.int64)
        splits = np.frombuffer(self._splits, np.int8) if self._splits else np.zeros(0, np.int8)
        notes = [*published_sets.notes(name, len(classes), splits), *self._tree.notes()]
        if self._others:
            kinds = ", ".join(f"{count:,} {end}" for end, count in self._others.most_common(5))
            notes.append(f"files without the suffix of an image are left out: {kinds}")
        return Listing(
            classes=tuple(classes),
            ids=self._paths,
            labels=labels,
            splits=splits,
            read=self._tree.reader(self._paths),
            problems=self.problems,
            about=published_sets.about(name),
            notes=notes,
        )


def unreadable(source: Path, *names: str) -> list[str]:
    """Folders of the source that are links to nowhere, or to what cannot be opened, as mistakes."""
    return [
        f"{source / name}: a link that leads nowhere; put the folder itself there"
        for name in names
        if (source / name).is_symlink() and not (source / name).is_dir()
    ]


def absent(source: Path, wanted: str, fix: str) -> str:
    """The message for something that was looked for in `source`, with what is there instead."""
    if not source.is_dir():
        return f"{source}: no such folder; give the folder that holds: {wanted}"
    names = sorted(path.name for path in source.iterdir())
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    holds = f"{', '.join(names[:SHOWN])}{more}" if names else "nothing"
    packed = [name for name in names if name.lower().endswith(ARCHIVES)]
    archive = f" (unpack archives such as {packed[0]}: they are not read)" if packed else ""
    return f"{source}: no {wanted}; it holds {holds}{archive}; {fix}"
