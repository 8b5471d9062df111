"""A folder a class, SOURCE/CLASS/*.jpg; or a folder a split, SOURCE/{train,valid,test}/CLASS/*.jpg.

Splits may be called train, val, valid, validation and test, and not all need be there. Images may
lie deeper inside their class; other files are passed over, and counted.
"""

from collections import Counter
from pathlib import Path

import numpy as np

from trainables.data.dataset import DataError
from trainables.data.importing.forms import Options
from trainables.data.importing.image_files import Reader, folders, hidden, is_image, walk
from trainables.data.importing.listing import Listing
from trainables.data.importing.splitting import split_index

GENERAL = True


def fits(source: Path, options: Options) -> bool:
    """Whether there are two or more folders, images in the first of them, and no file of labels."""
    if options.labels or not source.is_dir():
        return False
    inside = folders(source, [])
    if inside and all(split_index(name) is not None for name in inside):
        source /= inside[0]
        inside = folders(source, [])
    return len(inside) > 1 and any(map(is_image, walk(source, [], inside[0])))


def listing(source: Path, options: Options) -> Listing:
    """Images by the folder they lie in. `options` has nothing to add but the names of classes."""
    problems: list[tuple[str, str]] = []
    places = _class_folders(source, problems)
    found = sorted({name for name, _, _ in places})
    classes = options.classes or tuple(found)
    strange = sorted(set(found) - set(classes))
    if strange:
        said = f"{source}: folders of no given class: {', '.join(strange[:10])}"
        raise DataError([f"{said}; the classes given are: {', '.join(classes)}"])
    number = {name: index for index, name in enumerate(classes)}
    ids: list[str] = []
    labels: list[int] = []
    splits: list[int] = []
    others: Counter[str] = Counter()
    for name, path, split in places:
        for relative in walk(source, problems, path):
            if is_image(relative):
                ids.append(relative)
                labels.append(number[name])
                splits.append(split)
            else:
                others[Path(relative).suffix or "no suffix"] += 1
    kinds = ", ".join(f"{count:,} {suffix}" for suffix, count in others.most_common(5))
    return Listing(
        classes=classes,
        ids=ids,
        labels=np.array(labels, np.int64),
        splits=np.array(splits, np.int8),
        read=Reader(source, ids),
        problems=problems,
        notes=[f"files without the suffix of an image are left out: {kinds}"] if others else [],
    )


def _class_folders(source: Path, problems: list[tuple[str, str]]) -> list[tuple[str, str, int]]:
    """(class, its path in the source, split or -1) of each folder of a class."""
    if not source.is_dir():
        raise DataError(
            [f"{source}: not a folder; give the folder that holds those of the classes"]
        )
    inside = folders(source, problems)
    named = {name: split for name in inside if (split := split_index(name)) is not None}
    if not named:
        if not inside:
            raise DataError([f"{source}: no folder in it; images belong in one folder a class"])
        if loose := _loose(source):
            raise DataError([loose])
        return [(name, name, -1) for name in inside]
    if len(named) < len(inside):
        others = sorted(set(inside) - set(named))
        raise DataError(
            [
                f"{source}: {', '.join(sorted(named))} are splits and "
                f"{', '.join(others[:5])} are not; have only folders of splits, or of classes"
            ]
        )
    if loose := [said for name in named if (said := _loose(source / name))]:
        raise DataError(loose)
    return [
        (inner, f"{name}/{inner}", split)
        for name, split in named.items()
        for inner in folders(source / name, problems)
    ]


def _loose(folder: Path) -> str | None:
    """What to say of images that lie beside the folders of classes, if any do."""
    loose = [path.name for path in folder.iterdir() if is_image(path.name)]
    loose = [name for name in loose if not hidden(name)]
    if not loose:
        return None
    said = f"{folder}: {len(loose)} images, such as {min(loose)}, lie beside the folders of classes"
    return f"{said}; move each into the folder of its class"
