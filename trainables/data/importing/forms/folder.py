"""One folder per class, SOURCE/CLASS/*.jpg; or SOURCE/{train,valid,test}/CLASS/*.jpg with splits.

Splits may be called train, val, valid, validation and test, alone or with a word that all have
(seg_train, seg_test), and not all need be there. Images may lie deeper inside their class; other
files are passed over, and counted.
"""

from itertools import islice
from pathlib import Path

import numpy as np

from trainables.data.dataset import DataError
from trainables.data.importing.forms import Options
from trainables.data.importing.image_files import Tree, is_image, kinds
from trainables.data.importing.layout import NoClassesError, layout
from trainables.data.importing.listing import Listing

GENERAL = True
LOOKED_AT, SHOWN = 10_000, 3


def fits(source: Path, options: Options) -> bool:
    """Whether images lie in two or more folders of classes, and there is no file of labels."""
    if options.labels or not source.is_dir():
        return False
    tree = Tree(source, options.leave)
    try:
        places = [path for _, path, _ in layout(tree, options.classes).places]
    except NoClassesError:
        return False
    except DataError:
        places = tree.folders()
    filled = (path for path in places if any(map(is_image, tree.walk(path))))
    return len(list(islice(filled, 2))) > 1


def hints(source: Path, options: Options) -> list[str]:
    """Why folders that hold images are not of this form."""
    if not source.is_dir() or options.labels:
        return []
    tree = Tree(source, options.leave)
    files = list(islice(tree.walk(), LOOKED_AT))
    said = [f"{path}: {reason}" for path, reason in tree.problems[:SHOWN]]
    try:
        layout(tree, options.classes)
    except DataError as error:
        said += error.mistakes if tree.folders() else []
    if files and not any(map(is_image, files)):
        said.append(f"{source}: no file has the suffix of an image; there are: {kinds(files)}")
    return said


def listing(source: Path, options: Options) -> Listing:
    """Images by the folder they lie in. `options` has nothing to add but the names of classes."""
    if not source.is_dir():
        raise DataError(
            [f"{source}: not a folder; give the folder that holds those of the classes"]
        )
    tree = Tree(source, options.leave)
    found = layout(tree, options.classes)
    named = sorted({name for name, _, _ in found.places})
    classes = options.classes or tuple(named)
    strange = sorted(set(named) - set(classes))
    if strange:
        said = f"{source}: folders of no given class: {', '.join(strange[:10])}"
        raise DataError([f"{said}; the classes given are: {', '.join(classes)}"])
    number = {name: index for index, name in enumerate(classes)}
    ids: list[str] = []
    labels: list[int] = []
    splits: list[int] = []
    others: list[str] = []
    for name, path, split in found.places:
        for relative in tree.walk(path):
            if is_image(relative):
                ids.append(relative)
                labels.append(number[name])
                splits.append(split)
            else:
                others.append(relative)
    left_out = [f"files without the suffix of an image are left out: {kinds(others)}"]
    return Listing(
        classes=classes,
        ids=ids,
        labels=np.array(labels, np.int64),
        splits=np.array(splits, np.int8),
        read=tree.reader(ids),
        problems=tree.problems,
        notes=[*found.notes, *tree.notes(), *(left_out if others else [])],
    )
