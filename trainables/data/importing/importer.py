"""Makes a data set of a listing: every image read, checked and written once, as it is.

The encoded bytes are kept. An image that is missing or cannot be decoded, and one whose bytes came
before, is left out: test comes before valid and valid before train, so what leaks from test into
train is taken out of train. The work lies in `.NAME.part` until all is done; then one rename makes
it the data set.

N = images of the listing.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trainables.data.catalogue import names
from trainables.data.dataset import SPLITS, DataError, Dataset, Progress
from trainables.data.importing import splitting
from trainables.data.importing.image_files import printable
from trainables.data.importing.job import ImportJob, ImportRequestError
from trainables.data.importing.listing import Listing
from trainables.lock import exclusive

SHOWN = 5
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def import_(
    listing: Listing,
    target: Path,
    *,
    name: str | None = None,
    origin: str = "",
    splits: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    skip_bad: bool = False,
    progress: Progress | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> Dataset:
    """The data set made of a listing in the folder `target`, which appears when it is complete.

    `origin` says where the listing is from. Images without a split get one by the shares `splits`,
    class by class, by `seed` and id alone. With `skip_bad`, bad images are left out and named in
    `skipped.csv`. What was done before an interruption is not done again. `note` is told what a
    person should know.

    Raises ImportRequestError if `target` cannot be taken, DataError with all mistakes (of images,
    the first 20; all are then in `NAME.problems.csv` beside `target`), and OSError (ENOSPC) before
    anything is written if the disk has no room.
    """
    if mistakes := name_mistakes(target.name) + share_mistakes(splits):
        raise ImportRequestError(mistakes)
    mistakes = listing_mistakes(listing)
    if mistakes:
        raise DataError(mistakes)
    listing, unused = _without_unused_classes(listing)
    listing = replace(listing, about=replace(listing.about, name=name or target.name))
    order = splitting.hashes(listing.ids, seed)
    decided, said = splitting.completed(listing.splits, listing.labels, order, splits)
    mistakes = splitting.lacking_classes(decided, listing.labels, listing.classes)
    if mistakes:
        raise DataError(mistakes)
    for sentence in (*listing.notes, *unused, said):
        note(sentence)
    job = ImportJob(listing, target, decided, None if listing.in_order else order, origin)
    with exclusive(target.with_name(f".{target.name}.lock")):
        return job.run(skip_bad, progress, note)


def listing_mistakes(listing: Listing) -> list[str]:
    """What keeps a listing from becoming a data set, whatever its images are."""
    total, classes = len(listing.ids), listing.classes
    if not total:
        return _nothing(listing)
    problems = [
        f"class {name!r}: {why}"
        for name, times in Counter(classes).items()
        for wrong, why in (
            (times > 1, f"{times} classes have this name; give each its own"),
            (not name.strip() or not printable(name), "not a printable name; rename it"),
        )
        if wrong
    ]
    if len(listing.labels) != total or len(listing.splits) != total:
        counts = f"{total} ids, {len(listing.labels)} labels, {len(listing.splits)} splits"
        return [*problems, f"the listing is uneven: {counts}; give one of each for every image"]
    if len(set(listing.ids)) < total:
        (repeated, times), *_ = Counter(listing.ids).most_common(1)
        problems.append(f"id {repeated!r} is given to {times} images; give each its own")
    outside = np.flatnonzero((listing.labels < 0) | (listing.labels >= len(classes)))
    if outside.size:
        first = int(outside[0])
        problems.append(
            f"{listing.ids[first]}: label {listing.labels[first]} is outside 0..{len(classes) - 1} "
            f"({outside.size} such labels); correct them or name more classes"
        )
    elif len(np.unique(listing.labels)) < 2:
        problems.append("all images are of one class; a classifier needs two: add images of others")
    return problems


def _nothing(listing: Listing) -> list[str]:
    """Why a listing has no image: the reasons for those that are named, an example of each."""
    examples: dict[str, str] = {}
    for identity, reason in listing.problems:
        examples.setdefault(re.sub(r"\(.*?\)|such as .*", "", reason), f"{identity}: {reason}")
    said, shown = "no image with a label was found", list(examples.values())[:SHOWN]
    fix = "look at the source, and at the names of its columns if it has a table"
    if not shown:
        return [f"{said}; {fix}"]
    number = f"none of the {len(listing.problems):,} that are named can be used, such as"
    return [f"{said}: {number}", *shown, fix]


def name_mistakes(name: str) -> list[str]:
    """Why this cannot be the name of an imported data set."""
    if not NAME.fullmatch(name):
        allowed = "letters, digits, '.', '_' and '-', 64 at most, the first a letter or digit"
        return [f"{name!r} cannot be the name of a data set; use {allowed}"]
    if name in names():
        return [f"{name!r} is a data set that comes with the package; choose another name"]
    return []


def share_mistakes(shares: Sequence[float]) -> list[str]:
    """Why numbers cannot be the shares of the splits."""
    if len(shares) == len(SPLITS) and all(0 < share < float("inf") for share in shares):
        return []
    said = " ".join(f"{share:g}" for share in shares)
    return [f"shares {said}: give a number above 0 for each of {', '.join(SPLITS)}"]


def _without_unused_classes(listing: Listing) -> tuple[Listing, list[str]]:
    """The listing with classes that have an image only, and what to say of the others."""
    counts = np.bincount(listing.labels, minlength=len(listing.classes))
    used = np.flatnonzero(counts)
    unused = [name for name, count in zip(listing.classes, counts, strict=True) if not count]
    classes = tuple(listing.classes[label] for label in used)
    if unused:
        number = np.cumsum(counts > 0) - 1
        listing = replace(listing, classes=classes, labels=number[listing.labels])
    said = f"{len(unused)} classes have no image and are left out: {', '.join(unused[:5])}"
    listing = replace(listing, about=replace(listing.about, classes=classes))
    return listing, [said + (", ..." if len(unused) > 5 else "")] if unused else []
