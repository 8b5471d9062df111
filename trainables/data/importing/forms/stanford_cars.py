"""Stanford Cars, unpacked: cars_train/*.jpg, cars_test/*.jpg and the MATLAB files of its devkit.

`cars_train_annos.mat`, `cars_test_annos_withlabels.mat` and `cars_meta.mat` are looked for in
`devkit` and beside it. There is no valid split: it is cut from train.
"""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainables.data.dataset import DataError
from trainables.data.importing.image_files import escapes
from trainables.data.importing.listing import Listing
from trainables.data.importing.mat_file import mat_variables, single
from trainables.data.importing.splitting import TEST
from trainables.data.importing.unpacked import NO_SPLIT, Images, absent, unreadable

if TYPE_CHECKING:
    from trainables.data.importing.forms import Options

META, TRAIN_ANNOS = "cars_meta.mat", "cars_train_annos.mat"
TEST_ANNOS = "cars_test_annos_withlabels.mat"
ANNOS = {"cars_train": (TRAIN_ANNOS, NO_SPLIT), "cars_test": (TEST_ANNOS, TEST)}


def fits(source: Path, options: "Options") -> bool:  # noqa: ARG001
    return _found(source, META) is not None or _found(source, TRAIN_ANNOS) is not None


def listing(source: Path, options: "Options") -> Listing:  # noqa: ARG001
    """Images of both folders; DataError with every file that is missing or cannot be read."""
    mistakes = [
        absent(source, f"{name}, nor devkit/{name}", _fix(name))
        for name in (META, TRAIN_ANNOS, TEST_ANNOS)
        if _found(source, name) is None
    ]
    mistakes += [
        absent(source, f"folder {folder}", f"unpack {folder}.tgz there")
        for folder in ANNOS
        if not (source / folder).is_dir()
    ]
    mistakes += unreadable(source, *ANNOS)
    if mistakes:
        raise DataError(mistakes)
    classes = [str(name) for name in _variable(source, META, "class_names")]
    if twice := [name for name, times in Counter(classes).items() if times > 1]:
        raise DataError([f"{source}: {META} names these classes twice: {', '.join(twice)}"])
    images = Images(source)
    for folder, (annos, split) in ANNOS.items():
        try:
            _add(images, folder, annos, split, len(classes))
        except DataError as error:
            mistakes += error.mistakes
    if mistakes:
        raise DataError(mistakes)
    return images.listing(classes, "stanford_cars")


def _add(images: Images, folder: str, annos: str, split: int, classes: int) -> None:
    # Copies from elsewhere have the images one folder deeper.
    inside = f"{folder}/{folder}" if (images.source / folder / folder).is_dir() else folder
    listed = set()
    for row, annotation in enumerate(_variable(images.source, annos, "annotations"), 1):
        name, number = annotation.get("fname"), single(annotation.get("class"))
        path = f"{inside}/{name}"
        if not isinstance(name, str) or escapes(name):
            images.problems.append((f"{annos}, row {row}", f"fname is {name!r}, no name of a file"))
        elif number is None or not 1 <= number <= classes:
            reason = f"{annos} says class {number}; wanted: 1 to {classes}"
            images.problems.append((path, reason))
        else:
            images.add(path, number - 1, split)
        listed.add(path)
    for path in images.files(inside):
        if path not in listed:
            images.problems.append((path, f"{annos} does not name it; remove it or add its class"))


def _found(source: Path, name: str) -> Path | None:
    return next(filter(Path.is_file, (source / "devkit" / name, source / name)), None)


def _fix(name: str) -> str:
    if name == TEST_ANNOS:
        return "it is a file of its own, beside the devkit; cars_test_annos.mat has no classes"
    return "unpack the devkit, car_devkit.tgz, there"


def _variable(source: Path, name: str, variable: str) -> list[Any]:
    path = _found(source, name)
    assert path is not None
    value = mat_variables(path, variable)[0]
    if not isinstance(value, list):
        raise DataError([f"{path}: {variable!r} is no list; copy the file again"])
    return value
