"""Parquet files of a column of encoded images and one of labels, as Hugging Face has them.

Images are a struct with `bytes`, or bytes alone, in the first column called image, img or jpg that
there is; labels are numbers or texts in the column label. Names of classes are those in the
schema's metadata. The split is said by a file's name or by its folder's: train-*, validation-*,
test-*, or one alone for all. Files lie in SOURCE, or in folders in it.
"""

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import DataError
from trainables.data.importing.foreign_parquet import ForeignFile, ForeignImages
from trainables.data.importing.forms import Options
from trainables.data.importing.forms.table import numbered
from trainables.data.importing.image_files import Tree
from trainables.data.importing.listing import Listing
from trainables.data.importing.splitting import split_index

GENERAL = True
NO_LABEL = ("", "-1")
SHOWN = 5


def fits(source: Path, options: Options) -> bool:
    """Whether the first Parquet file has a column of encoded images and one of labels."""
    if not source.is_dir() or options.labels:
        return False
    try:
        files = _files(Tree(source, options.leave))
        return any(_open(source, relative, options) for relative in files[:1])
    except DataError:
        return False


def hints(source: Path, options: Options) -> list[str]:
    """What is wrong with the first Parquet file, if there is any."""
    if not source.is_dir() or options.labels:
        return []
    try:
        for relative in _files(Tree(source, options.leave))[:1]:
            _open(source, relative, options)
    except DataError as error:
        return error.mistakes
    return []


def listing(source: Path, options: Options) -> Listing:
    """The images of all Parquet files in the order of their rows."""
    tree = Tree(source, options.leave)
    files = _opened(tree, options)
    ids: list[str] = []
    texts: list[str] = []
    splits: list[NDArray[np.int8]] = []
    rows: list[NDArray[np.int64]] = []
    problems = tree.problems
    total = 0
    for file in files:
        names, labels = file.ids_and_labels()
        kept = [row for row, label in enumerate(labels) if label not in NO_LABEL]
        without = set(range(len(labels))).difference(kept)
        problems += [(names[row], "has no label") for row in sorted(without)]
        ids += [names[row] for row in kept]
        texts += [labels[row] for row in kept]
        splits.append(np.full(len(kept), _split_of(file.relative), np.int8))
        rows.append(np.array(kept, np.int64) + total)
        total += len(labels)
    named = options.classes or files[0].names
    by_number = all(file.by_number for file in files)
    classes, numbers, strange = numbered(texts, named, by_number=by_number)
    if strange:
        raise DataError([f"{source}: {strange}"])
    return Listing(
        classes=classes,
        ids=ids,
        labels=numbers,
        splits=np.concatenate(splits),
        read=ForeignImages(files, np.concatenate(rows)),
        problems=problems,
        notes=["images stay in the order of the source", *tree.notes()],
        in_order=True,
    )


def _opened(tree: Tree, options: Options) -> list[ForeignFile]:
    """All Parquet files of a source. Raises DataError with what is wrong with any."""
    source = tree.root
    if not source.is_dir():
        raise DataError([f"{source}: not a folder; give the folder that holds the Parquet files"])
    files: list[ForeignFile] = []
    mistakes: list[str] = []
    for relative in _files(tree):
        try:
            files.append(_open(source, relative, options))
        except DataError as error:
            mistakes += error.mistakes
    if not files and not mistakes:
        mistakes = [f"{path}: {reason}" for path, reason in tree.problems[:SHOWN]]
        mistakes.append(f"{source}: no Parquet file in it; give the folder that holds them")
    if len({file.names for file in files}) > 1 and not options.classes:
        mistakes.append(f"{source}: the files name different classes; give them with --classes")
    if mistakes:
        raise DataError(mistakes)
    return files


def _open(source: Path, relative: str, options: Options) -> ForeignFile:
    label = options.label_column or "label"
    return ForeignFile.opened(source, relative, label, options.id_column)


def _files(tree: Tree) -> list[str]:
    found = tree.walk()
    return [p for p in found if p.endswith(".parquet") and not Path(p).name.startswith("_")]


def _split_of(relative: str) -> int:
    """The split that a file's name begins with, or a folder's name is; -1 if none."""
    path = Path(relative)
    begin = re.split(r"[-_.]", path.name)[0]
    for name in (begin, *(parent.name for parent in path.parents)):
        if (found := split_index(name)) is not None:
            return found
    return -1
