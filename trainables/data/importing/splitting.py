"""Which images are for training, validation and test, where a source leaves it open.

Letters: N = images, C = classes.
"""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import SPLITS, DataError

TRAIN, VALID, TEST = range(3)
SHOWN = 20
_NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "valid": VALID,
    "validation": VALID,
    "val": VALID,
    "dev": VALID,
    "test": TEST,
    "testing": TEST,
}
_IDLE = ("set", "data", "dataset", "image", "images", "img", "imgs", "split", "folder", "dir")
_WITHIN = re.compile(
    rf"(?<![^\W\d_])(?:{'|'.join(sorted(_NAMES, key=len, reverse=True))})"
    rf"(?=(?:{'|'.join(_IDLE)})?(?:[\W\d_]|$))"
)


def split_index(name: str) -> int | None:
    """The split of SPLITS that a source means by a name such as "val"; None if it is none."""
    return _NAMES.get(name.strip().lower())


def split_within(name: str) -> tuple[str, int] | None:
    """What stands around the one name of a split in a folder's name, and that split; None if none.

    "seg_train" is ("seg_*", TRAIN); words that say nothing, such as "images" or "set", and digits
    are left out: "test_images" is ("*", TEST).
    """
    found = list(_WITHIN.finditer(name.lower()))
    if len(found) != 1:
        return None
    (match,) = found
    around = f"{name.lower()[: match.start()]}*{name.lower()[match.end() :]}"
    words = [word for word in re.findall(r"[^\W\d_]+|\*", around) if word not in _IDLE]
    return "_".join(words), _NAMES[match[0]]


def hashes(ids: Sequence[str], seed: int) -> NDArray[np.uint64]:
    """A number (N,) for each id that looks drawn by chance and depends on `seed` and id alone."""
    key = str(seed).encode()
    digests = (hashlib.blake2b(i.encode(), digest_size=8, key=key).digest() for i in ids)
    return np.fromiter((int.from_bytes(d, "big") for d in digests), np.uint64, len(ids))


def completed(
    splits: NDArray[np.int8],
    labels: NDArray[np.int64],
    order: NDArray[np.uint64],
    shares: Sequence[float],
) -> tuple[NDArray[np.int8], str]:
    """The split of every image (N,), and a sentence on what was decided.

    Given splits are kept. Images without one are cut, class by class, in the order of their hashes;
    if there are none, splits that the source lacks are cut from train. Every image's place follows
    from its hash, so new images move few others. Raises DataError where nothing can be cut.
    """
    given = [bool((splits == split).any()) for split in (TRAIN, VALID, TEST)]
    parts = [TRAIN, *(split for split in (VALID, TEST) if not given[split])]
    pool = splits == -1
    if pool.any():
        parts = [TRAIN, VALID, TEST] if all(given) else parts
        said = f"{int(pool.sum()):,} images without a split"
    elif all(given):
        return splits, "the splits are those of the source"
    elif given[TRAIN]:
        pool = splits == TRAIN
        said = f"the source has no {' and no '.join(SPLITS[part] for part in parts[1:])}; its train"
    else:
        raise DataError(["the source has no images for training; add some, or leave splits out"])
    result = splits.copy()
    weights = np.array([shares[part] for part in parts]) / sum(shares[part] for part in parts)
    members = np.flatnonzero(pool)
    members = members[np.lexsort((order[members], labels[members]))]
    for group in np.split(members, np.flatnonzero(np.diff(labels[members])) + 1):
        result[group] = np.repeat(parts[::-1], _sizes(len(group), weights)[::-1])
    cut = ", ".join(f"{SPLITS[p]} {weight:.4g}" for p, weight in zip(parts, weights, strict=True))
    return result, f"{said}: cut within each class into {cut}"


def _sizes(total: int, weights: NDArray[np.float64]) -> list[int]:
    """`total` shared out by `weights`, one at least each while there are enough, the first last."""
    sizes = [0] * len(weights)
    rest = total
    for index in range(len(weights) - 1, 0, -1):
        sizes[index] = min(max(1, round(total * weights[index])), max(rest - index, 0))
        rest -= sizes[index]
    sizes[0] = rest
    return sizes


def lacking_classes(
    splits: NDArray[np.int8], labels: NDArray[np.int64], classes: Sequence[str]
) -> list[str]:
    """Classes without an image in a split, as mistakes; no class is without an image in all."""
    problems = []
    for split, name in enumerate(SPLITS):
        counts = np.bincount(labels[splits == split], minlength=len(classes))
        for label in np.flatnonzero(counts == 0).tolist():
            total = int((labels == label).sum())
            problems.append(
                f"{name}: no image of class {classes[label]!r}, which has {total} in all; every "
                "split needs every class: add images, or leave the class out of the source"
            )
    if len(problems) > SHOWN:
        problems[SHOWN:] = [f"and {len(problems) - SHOWN} more classes that a split lacks"]
    return problems
