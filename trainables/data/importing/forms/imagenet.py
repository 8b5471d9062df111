"""ImageNet-1k, unpacked: train/WNID/*.JPEG, and val/WNID/*.JPEG or val/*.JPEG with their labels.

Both folders are looked for in the source and in its `ILSVRC/Data/CLS-LOC`. The test set of ImageNet
has no labels: as papers do, `val` becomes test; valid is cut from train.

The labels of `val/ILSVRC2012_val_00000001.JPEG` and so on come from the file that is given, or else
from `LOC_val_solution.csv`, `val_labels.txt`, `imagenet_2012_validation_synset_labels.txt`, or the
devkit's `ILSVRC2012_validation_ground_truth.txt` with `meta.mat`. Lines are either of a file and a
WNID, or of a WNID (or the devkit's number) alone, which is that of the image of this number.
Classes are named as in `imagenet21k`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from trainables.data.dataset import DataError
from trainables.data.importing.forms.imagenet21k import WNID, wnids, words
from trainables.data.importing.listing import Listing
from trainables.data.importing.mat_file import mat_variables, single
from trainables.data.importing.splitting import TEST
from trainables.data.importing.unpacked import NO_SPLIT, SHOWN, Images, absent, unreadable

if TYPE_CHECKING:
    from trainables.data.importing.forms import Options

KAGGLE = "ILSVRC/Data/CLS-LOC/"
GROUND_TRUTH, META = "ILSVRC2012_validation_ground_truth.txt", "meta.mat"
LABEL_FILES = (
    "LOC_val_solution.csv",
    "val_labels.txt",
    "imagenet_2012_validation_synset_labels.txt",
    GROUND_TRUTH,
)
DEVKITS = ("", "ILSVRC2012_devkit_t12/data", "devkit/data", "devkit", "data")
VAL_NUMBER = re.compile(r".*_val_(\d{8})")


def fits(source: Path, options: "Options") -> bool:  # noqa: ARG001
    there = bool(wnids(source, "train")) and (source / "val").is_dir()
    return there or (source / KAGGLE).is_dir()


def listing(source: Path, options: "Options") -> Listing:
    """Images of train and val; DataError with everything that is missing."""
    inside = KAGGLE if (source / KAGGLE).is_dir() else ""
    train, val = f"{inside}train", f"{inside}val"
    classes, flat = wnids(source, train), not wnids(source, val)
    mistakes = []
    if not classes:
        fix = "unpack ILSVRC2012_img_train.tar there, and each tar in it into a folder of its name"
        mistakes.append(absent(source, f"folder {train}/WNID such as {train}/n01440764", fix))
    if not (source / val).is_dir():
        mistakes.append(absent(source, f"folder {val}", f"unpack ILSVRC2012_img_val.tar in {val}"))
    labels = _Labels((), {})
    try:
        labels = _Labels.found(source, options.labels) if flat else labels
    except DataError as error:
        mistakes += error.mistakes
    if mistakes:
        raise DataError(mistakes)
    images = Images(source)
    mistakes = images.add_classes(train, classes, NO_SPLIT)
    mistakes += unreadable(source, val) if flat else images.add_classes(val, classes, TEST)
    if flat and not mistakes:
        mistakes = _add_flat(images, val, labels, classes)
    if mistakes:
        raise DataError(mistakes)
    return images.listing(words(source, classes), "imagenet")


def _add_flat(images: Images, val: str, labels: "_Labels", classes: Sequence[str]) -> list[str]:
    """Adds the images of val; returns the mistake that there are none."""
    index = {wnid: label for label, wnid in enumerate(classes)}
    path = None
    for path in images.files(val):
        wnid = labels.wnid(path)
        if wnid is None:
            images.problems.append((path, "no label is given for it; remove it or add its label"))
        elif wnid not in index:
            images.problems.append((path, f"train has no class {wnid}; add it there"))
        else:
            images.add(path, index[wnid], TEST)
    return [] if path else [f"{images.source / val}: empty; unpack ILSVRC2012_img_val.tar there"]


@dataclass(frozen=True)
class _Labels:
    """WNIDs of images: in the order of their numbers, and by the names of files."""

    in_order: Sequence[str]
    by_name: Mapping[str, str]

    def wnid(self, path: str) -> str | None:
        name = PurePosixPath(path).stem
        numbered = VAL_NUMBER.fullmatch(name)
        if name in self.by_name or not numbered:
            return self.by_name.get(name)
        number = int(numbered[1])
        return self.in_order[number - 1] if 1 <= number <= len(self.in_order) else None

    @classmethod
    def found(cls, source: Path, given: Sequence[Path]) -> "_Labels":
        """From the files that are given, else from the first one that stands in the source."""
        files = given or [_beside(source, name) for name in LABEL_FILES]
        there = [path for path in files if path is not None and path.is_file()]
        if not there or (given and len(there) < len(given)):
            wanted = ", ".join(map(str, given)) or f"labels of val ({', '.join(LABEL_FILES)})"
            raise DataError([absent(source, wanted, "put it there, or say where with --labels")])
        in_order: list[str] = []
        by_name: dict[str, str] = {}
        for path in there if given else there[:1]:
            _read(path, _beside(source, META), in_order, by_name)
        return cls(in_order, by_name)


def _read(path: Path, meta: Path | None, in_order: list[str], by_name: dict[str, str]) -> None:
    """Adds the labels in a file. Raises DataError if one is neither a WNID nor in `meta`."""
    known: dict[str, str] | None = None
    wrong: list[str] = []
    with path.open(encoding="utf-8", errors="replace") as lines:
        for row, line in enumerate(lines, 1):
            file, *rest = re.split(r"[\s,]+", line.strip())
            label = rest[0] if rest else file
            if not label or file == "ImageId":
                continue
            if label.isdigit() and not rest:
                known = _numbered(path, meta) if known is None else known
                label = known.get(label, label)
            if not WNID.fullmatch(label):
                wrong.append(f"{path}, line {row}: {label!r} is no WNID such as n01440764")
            elif rest:
                by_name[PurePosixPath(file).stem] = label
            else:
                in_order.append(label)
    if wrong:
        more = [f"and {len(wrong) - SHOWN} more in {path}"] if len(wrong) > SHOWN else []
        raise DataError([*wrong[:SHOWN], *more])


def _numbered(path: Path, meta: Path | None) -> dict[str, str]:
    """The WNID of each number in the devkit, whose order is not that of the WNIDs."""
    if meta is None:
        raise DataError(
            [f"{path}: its numbers are explained in {META}; put {META} of the devkit beside it"]
        )
    synsets = mat_variables(meta, "synsets")[0]
    try:
        return {str(single(each["ILSVRC2012_ID"])): each["WNID"] for each in synsets}
    except (KeyError, TypeError) as error:
        fix = "copy it again from the devkit"
        raise DataError([f"{meta}: its synsets have no ILSVRC2012_ID and WNID; {fix}"]) from error


def _beside(source: Path, name: str) -> Path | None:
    return next(filter(Path.is_file, (source / devkit / name for devkit in DEVKITS)), None)
