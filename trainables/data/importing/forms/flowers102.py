"""Oxford Flowers-102, unpacked: jpg/image_00001.jpg and so on, imagelabels.mat and setid.mat.

`setid.mat` gives the splits: `trnid` is train, `valid` valid and `tstid` test (1,020, 1,020 and
6,149 images). The files name no class: names are "1" to "102", unless `cat_to_name.json` (an object
of number and name) or `labels.txt` (one name per line) stands beside, or they are given.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import DataError
from trainables.data.importing.listing import Listing
from trainables.data.importing.mat_file import mat_variables
from trainables.data.importing.splitting import TEST, TRAIN, VALID
from trainables.data.importing.unpacked import Images, absent, unreadable

if TYPE_CHECKING:
    from trainables.data.importing.forms import Options

LABELS, SPLITS, IMAGES = "imagelabels.mat", "setid.mat", "jpg"
SETS = {"trnid": TRAIN, "valid": VALID, "tstid": TEST}
MAX_NUMBER = 100_000


def fits(source: Path, options: "Options") -> bool:  # noqa: ARG001
    return (source / LABELS).is_file() or (source / SPLITS).is_file()


def listing(source: Path, options: "Options") -> Listing:
    """Images in the three splits; DataError with every file that is missing or wrong."""
    mistakes = [
        absent(source, name, f"it is a file of its own beside 102flowers.tgz: put {name} there")
        for name in (LABELS, SPLITS)
        if not (source / name).is_file()
    ]
    if not (source / IMAGES).is_dir():
        mistakes.append(absent(source, f"folder {IMAGES}", "unpack 102flowers.tgz there"))
    mistakes += unreadable(source, IMAGES)
    if mistakes:
        raise DataError(mistakes)
    numbers = _whole(source / LABELS, "labels")[0]
    sets = dict(zip(SETS, _whole(source / SPLITS, *SETS), strict=True))
    classes = options.classes or _names(source, int(numbers.max()))
    if len(classes) < numbers.max():
        said = f"{source}: {len(classes)} names of classes, {LABELS} has {numbers.max()}"
        raise DataError([f"{said}; name them all"])
    images = Images(source)
    _add(images, numbers, sets)
    return images.listing(classes, "flowers102")


def _add(images: Images, numbers: NDArray[np.int64], sets: dict[str, NDArray[np.int64]]) -> None:
    listed: dict[int, str] = {}
    for name, members in sets.items():
        for number in members.tolist():
            path = f"{IMAGES}/image_{number:05d}.jpg"
            if number in listed:
                reason = f"in {listed[number]} and again in {name} of {SPLITS}; correct that file"
                images.problems.append((path, reason))
            elif number > len(numbers):
                images.problems.append((path, f"{LABELS} ends at {len(numbers)}; copy it again"))
            else:
                images.add(path, int(numbers[number - 1]) - 1, SETS[name])
            listed.setdefault(number, name)
    known = {f"{IMAGES}/image_{number:05d}.jpg" for number in listed}
    for path in images.files(IMAGES):
        if path not in known:
            images.problems.append((path, f"in no split of {SPLITS}; remove it, or add it there"))


def _whole(path: Path, *variables: str) -> list[NDArray[np.int64]]:
    """Variables that hold whole numbers from 1."""
    wrong, numbers = [], []
    for variable, values in zip(variables, mat_variables(path, *variables), strict=True):
        if (
            isinstance(values, np.ndarray)
            and values.size
            and np.all((values >= 1) & (values <= MAX_NUMBER) & (values == np.floor(values)))
        ):
            numbers.append(values.astype(np.int64))
        else:
            wanted = f"whole numbers from 1 to {MAX_NUMBER:,}"
            wrong.append(f"{path}: {variable} should be {wanted}; copy it again")
    if wrong:
        raise DataError(wrong)
    return numbers


def _names(source: Path, number: int) -> list[str]:
    """Names of the classes 1 to `number` by a file beside the images, else their numbers."""
    numbers = [str(each) for each in range(1, number + 1)]
    by_number, by_line = source / "cat_to_name.json", source / "labels.txt"
    if by_number.is_file():
        path = by_number
        try:
            document = json.loads(path.read_bytes())
        except (ValueError, RecursionError) as error:
            raise DataError([f"{path}: no JSON ({error}); correct or remove it"]) from error
        names = [document.get(each) for each in numbers] if isinstance(document, dict) else []
    elif by_line.is_file():
        path = by_line
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.strip(" '\",") for line in lines if line.strip()][:number]
    else:
        return numbers
    if not all(isinstance(name, str) and name for name in names) or len(set(names)) != number:
        raise DataError([f"{path}: wanted {number} different names; correct or remove it"])
    return [str(name) for name in names]
