"""ImageNet-21k, unpacked: imagenet21k_train/WNID/* and imagenet21k_val/WNID/*, or only WNID/*.

The first is ImageNet-21K-P (Ridnik et al., arXiv:2104.10972): its `imagenet21k_val` becomes test,
as it has no other, and valid is cut from train. `imagenet21k_small_classes` is no part of it and
is left alone. The second is the whole of ImageNet-21k, which has no splits.

A WNID (WordNet id) is a folder such as `n01440764`; other folders beside are left alone. Where a
list such as `words.txt` stands beside, the name of a class is its WNID with the first word for it:
`n01440764 tench`.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from trainables.data.dataset import DataError
from trainables.data.importing.image_files import Tree
from trainables.data.importing.listing import Listing
from trainables.data.importing.splitting import TEST
from trainables.data.importing.unpacked import NO_SPLIT, Images, absent

if TYPE_CHECKING:
    from trainables.data.importing.forms import Options

WNID = re.compile(r"n\d{8}")
WORDS = re.compile(r"(n\d{8})[\s,]+([^,]+)")
WORD_LISTS = ("LOC_synset_mapping.txt", "synset_words.txt", "classes.txt", "words.txt")
TRAIN_FOLDER, VAL_FOLDER = "imagenet21k_train", "imagenet21k_val"


def fits(source: Path, options: "Options") -> bool:  # noqa: ARG001
    return (source / TRAIN_FOLDER).is_dir()


def listing(source: Path, options: "Options") -> Listing:  # noqa: ARG001
    """Images of ImageNet-21K-P, or of the whole; DataError with every folder that is missing."""
    whole = bool(wnids(source, "."))
    wanted = {".": NO_SPLIT} if whole else {TRAIN_FOLDER: NO_SPLIT, VAL_FOLDER: TEST}
    mistakes = [
        absent(source, f"folder {folder}/WNID such as {folder}/n01440764", "unpack it there")
        for folder in wanted
        if not wnids(source, folder)
    ]
    if mistakes:
        raise DataError(mistakes)
    images = Images(source)
    classes = wnids(source, next(iter(wanted)))
    for folder, split in wanted.items():
        mistakes += images.add_classes(folder, classes, split)
    if mistakes:
        raise DataError(mistakes)
    return images.listing(words(source, classes), "imagenet21k")


def wnids(source: Path, folder: str) -> list[str]:
    """Names of the folders in `source / folder` that are WNIDs, sorted; none if it is not there."""
    path = source / folder
    return [name for name in Tree(path).folders() if WNID.fullmatch(name)] if path.is_dir() else []


def words(source: Path, classes: Iterable[str]) -> list[str]:
    """Each WNID with the first word for it, by the first list beside the images that has it."""
    first: dict[str, str] = {}
    for path in filter(Path.is_file, map(source.joinpath, WORD_LISTS)):
        with path.open(encoding="utf-8", errors="replace") as lines:
            for match in filter(None, map(WORDS.match, lines)):
                first.setdefault(match[1], match[2].strip())
    return [f"{wnid} {first[wnid]}" if wnid in first else wnid for wnid in classes]
