"""Places365-Standard, unpacked: data_256/a/abbey/*.jpg, val_256/*.jpg and the lists of its images.

The lists, `categories_places365.txt`, `places365_train_standard.txt` and `places365_val.txt`, are
looked for beside the folders and in `filelist_places365-standard`; the folders may also be those of
the large images (`data_large`, `val_large`). Or the "easy directory structure":
`train/CLASS/*.jpg` and `val/CLASS/*.jpg`.

Its test set has no labels: `val` becomes test and valid is cut from train. The name of a class is
that of its folder, without the letter before it (`apartment_building/outdoor`).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.data.dataset import DataError
from trainables.data.importing.image_files import Tree, escapes
from trainables.data.importing.listing import Listing
from trainables.data.importing.splitting import TEST
from trainables.data.importing.unpacked import NO_SPLIT, Images, absent, unreadable

if TYPE_CHECKING:
    from trainables.data.importing.forms import Options

CATEGORIES = "categories_places365.txt"
LISTS = {"places365_train_standard.txt": NO_SPLIT, "places365_val.txt": TEST}
TRAIN_FOLDERS = ("data_256", "data_256_standard", "data_large", "data_large_standard")
VAL_FOLDERS = ("val_256", "val_large")


def fits(source: Path, options: "Options") -> bool:  # noqa: ARG001
    return any(_found(source, name) for name in (CATEGORIES, *LISTS))


def listing(source: Path, options: "Options") -> Listing:  # noqa: ARG001
    """Images of either form; DataError with every folder or list that is missing or wrong."""
    easy = (source / "train").is_dir() and not _folders(source, TRAIN_FOLDERS)
    return _easy(source) if easy else _listed(source)


def _easy(source: Path) -> Listing:
    classes = Tree(source / "train").folders()
    mistakes = [
        absent(source, f"{folder}/CLASS", "unpack places365standard_easyformat.tar there")
        for folder in ("train", "val")
        if not (source / folder).is_dir() or not Tree(source / folder).folders()
    ]
    if mistakes:
        raise DataError(mistakes)
    images = Images(source)
    for folder, split in (("train", NO_SPLIT), ("val", TEST)):
        mistakes += images.add_classes(folder, classes, split)
    if mistakes:
        raise DataError(mistakes)
    return images.listing(classes, "places365")


def _listed(source: Path) -> Listing:
    mistakes = [
        absent(source, name, "unpack filelist_places365-standard.tar there")
        for name in (CATEGORIES, *LISTS)
        if _found(source, name) is None
    ]
    for names in (TRAIN_FOLDERS, VAL_FOLDERS):
        there = _folders(source, names)
        if not there:
            wanted = f"folder {' or '.join(names)}"
            mistakes.append(absent(source, wanted, "unpack the images there"))
        elif len(there) > 1:
            mistakes.append(f"{source}: holds {' and '.join(there)}; leave one of them there")
        mistakes += unreadable(source, *there)
    if mistakes:
        raise DataError(mistakes)
    classes = _classes(source)
    images = Images(source)
    for (name, split), names in zip(LISTS.items(), (TRAIN_FOLDERS, VAL_FOLDERS), strict=True):
        _add(images, name, _folders(source, names)[0], split, len(classes))
    return images.listing(classes, "places365")


def _add(images: Images, name: str, folder: str, split: int, classes: int) -> None:
    for place, path, number in _rows(images.source, name):
        if number is None or not 0 <= number < classes:
            reason = f"wanted a file and a class from 0 to {classes - 1}; copy the list again"
            images.problems.append((place, reason))
        elif escapes(path):
            images.problems.append((place, f"{path} leads outside; copy the list again"))
        else:
            images.add_named(f"{folder}/{path}", number, split)


def _classes(source: Path) -> list[str]:
    """Names of the classes by number, `/a/abbey 0` being `abbey`."""
    rows = list(_rows(source, CATEGORIES))
    names = {number: path.partition("/")[2] or path for _, path, number in rows}
    whole = sorted(number for number in names if number is not None) == list(range(len(rows)))
    if not whole or not rows or len(set(names.values())) != len(rows):
        raise DataError(
            [
                f"{_found(source, CATEGORIES)}: wanted lines such as '/a/abbey 0', of other "
                f"names and the numbers 0 to {max(len(rows) - 1, 0)}; copy it again"
            ]
        )
    return [names[number] for number in range(len(rows))]


def _rows(source: Path, name: str) -> Iterator[tuple[str, str, int | None]]:
    """(place, path without leading slash, number) of each line; None where it has no number."""
    path = _found(source, name)
    assert path is not None
    with path.open(encoding="utf-8", errors="replace") as lines:
        for row, line in enumerate(lines, 1):
            if line.strip():
                file, _, number = line.strip().rpartition(" ")
                known = number.isascii() and number.isdigit() and bool(file)
                yield (
                    f"{name}, line {row}",
                    file.strip().lstrip("/"),
                    int(number) if known else None,
                )


def _found(source: Path, name: str) -> Path | None:
    places = source / name, source / "filelist_places365-standard" / name
    return next(filter(Path.is_file, places), None)


def _folders(source: Path, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if (source / name).is_dir()]
