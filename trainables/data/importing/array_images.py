"""Images in NumPy arrays, such as a Bunch of `sklearn.datasets`, as a listing of PNGs.

Bytes are kept as they are. Other pixels are stretched to 0..255 from 0 to the first of 1, 16, and
the highest of 8, 10, 12, 14 and 16 bits that none is above, which is said. PNG loses nothing.

Letters: N = images, H, W = pixels, C = channels, F = features.
"""

import io
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.data.dataset import SPLITS, DataError
from trainables.data.describe import About
from trainables.data.importing.forms.table import numbered
from trainables.data.importing.listing import Listing
from trainables.data.importing.splitting import split_index

NAMES = {
    "images": ("images", "image", "data", "x"),
    "labels": ("labels", "label", "targets", "target", "y"),
    "classes": ("target_names", "class_names", "classes", "names"),
}
BYTE = 255
RANGES = (1, 16, BYTE, 1_023, 4_095, 16_383, 65_535)
ROWS_AT_ONCE = 1024


def from_arrays(
    arrays: Mapping[str, Any],
    classes: Sequence[str] | None = None,
    about: About | None = None,
    bits: int | None = None,
) -> Listing:
    """The images of named arrays, such as a Bunch of `sklearn.datasets`; other names are ignored.

    Raises DataError with all that does not fit.
    """
    found = {split: _found(arrays, split) for split in (-1, *range(len(SPLITS)))}
    names = classes or next((part["classes"] for part in found.values() if "classes" in part), None)
    parts = {split: p for split, p in found.items() if "images" in p or "labels" in p}
    if len(parts) > 1:
        parts.pop(-1, None)
    mistakes = [m for split, part in parts.items() for m in _mistakes(split, part)]
    if not parts:
        mistakes = [
            f"no images ({', '.join(NAMES['images'])}) among: {', '.join(arrays) or 'none'}"
        ]
    if mistakes:
        raise DataError(mistakes)
    images = [_laid_out(part["images"]) for part in parts.values()]
    peak = _peak(images, bits)
    labels = np.concatenate([np.ravel(part["labels"]) for part in parts.values()])
    texts = [str(label) for label in labels.tolist()]
    by_number = labels.dtype.kind in "iu"
    chosen, numbers, strange = numbered(texts, _texts(names), by_number=by_number)
    if strange:
        raise DataError([strange])
    said = f"pixels are stretched from 0..{peak:,} to 0..255"
    said += " (--bits gives another range)" if peak > BYTE else ""
    return Listing(
        classes=chosen,
        ids=[
            f"{SPLITS[split]}-{row:06d}" if split >= 0 else f"{row:06d}"
            for split, part in parts.items()
            for row in range(len(part["images"]))
        ],
        labels=numbers,
        splits=np.repeat(
            np.array(list(parts), np.int8), [len(part["images"]) for part in parts.values()]
        ),
        read=_Pngs(images, peak),
        about=about or About(),
        notes=[said] if peak != BYTE else [],
    )


def role_of(name: str) -> tuple[str, int]:
    """What an array is for, by its name without that of a split; and the split, -1 if none."""
    parts = re.split(r"[\W_]+", name.lower())
    splits = [split_index(part) for part in parts]
    rest = "_".join(part for part, split in zip(parts, splits, strict=True) if split is None)
    split = next((split for split in splits if split is not None), -1)
    for role, names in NAMES.items():
        if rest in names:
            return role, split
    return "", split


def _found(arrays: Mapping[str, Any], split: int) -> dict[str, NDArray[Any]]:
    """The arrays of a split by what they are for, each the first of its names."""
    found: dict[str, NDArray[Any]] = {}
    for role, names in NAMES.items():
        fitting = [name for name in arrays if role_of(name) == (role, split)]
        words = [re.split(r"[\W_]+", name.lower()) for name in fitting]
        ranks = [min(names.index(n) for n in names if set(n.split("_")) <= set(w)) for w in words]
        if fitting:
            found[role] = np.asanyarray(arrays[fitting[ranks.index(min(ranks))]])
    return found


def _mistakes(split: int, part: Mapping[str, NDArray[Any]]) -> list[str]:
    of = f" of {SPLITS[split]}" if split >= 0 else ""
    if lacking := [role for role in ("images", "labels") if role not in part]:
        wanted = ", ".join(NAMES[lacking[0]])
        return [f"no {lacking[0]}{of}; name their array one of: {wanted}"]
    images, labels = part["images"], part["labels"]
    mistakes = []
    if _layout(images.shape) is None:
        wanted = "(N, H, W), (N, H, W, C), (N, C, H, W) or (N, F) with F a square"
        mistakes.append(f"images{of} are shaped {images.shape}; wanted: {wanted}")
    if images.dtype.kind not in "biuf":
        mistakes.append(f"images{of} are {images.dtype}; wanted: numbers")
    if labels.dtype.kind not in "iuU" or labels.shape not in ((len(labels),), (len(labels), 1)):
        said = f"labels{of} are {labels.dtype} shaped {labels.shape}"
        mistakes.append(f"{said}; wanted: whole numbers or texts, one per image")
    if len(images) != len(labels):
        mistakes.append(f"{len(images)} images{of} and {len(labels)} labels; give one for each")
    return mistakes


def _layout(shape: tuple[int, ...]) -> str | None:
    """Which of the shapes this is, by its letters; None if it is none."""
    if len(shape) == 2 and math.isqrt(shape[1]) ** 2 == shape[1]:
        return "NF"
    if len(shape) == 3:
        return "NHW"
    if len(shape) == 4 and shape[3] in (1, 3, 4):
        return "NHWC"
    return "NCHW" if len(shape) == 4 and shape[1] in (1, 3) else None


def _laid_out(images: NDArray[Any]) -> NDArray[Any]:
    """The images as (N, H, W) or (N, H, W, C) with C above one; views, nothing is copied."""
    layout = _layout(images.shape)
    if layout == "NF":
        side = math.isqrt(images.shape[1])
        return images.reshape(len(images), side, side)
    if layout == "NCHW":
        images = images.transpose(0, 2, 3, 1)
    return images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images


def _peak(images: Sequence[NDArray[Any]], bits: int | None) -> int:
    """The value of white. Raises DataError for pixels that are negative, too large or no number."""
    if all(part.dtype == np.uint8 for part in images):
        return BYTE
    low, high = math.inf, -math.inf
    for part in images:
        for start in range(0, len(part), ROWS_AT_ONCE):
            some = np.asarray(part[start : start + ROWS_AT_ONCE], np.float64)
            if not np.isfinite(some).all():
                raise DataError(["pixels that are no number or infinite; mend the images"])
            low, high = min(low, some.min(initial=low)), max(high, some.max(initial=high))
    ranges = (2**bits - 1,) if bits else RANGES
    fitting = [peak for peak in ranges if high <= peak]
    if low < 0 or not fitting:
        wanted = ", ".join(f"0..{peak:,}" for peak in ranges)
        raise DataError([f"pixels from {low:g} to {high:g}; bring them to one of: {wanted}"])
    return fitting[0]


def _texts(names: Any) -> list[str] | None:
    return None if names is None else [str(name) for name in np.asarray(names).ravel().tolist()]


class _Pngs:
    """Image `i` of all parts as a PNG."""

    def __init__(self, parts: Sequence[NDArray[Any]], peak: int):
        self._parts, self._peak = parts, peak
        self._ends = np.cumsum([len(part) for part in parts])

    def __call__(self, index: int) -> bytes:
        from PIL import Image

        which = int(np.searchsorted(self._ends, index, side="right"))
        part = self._parts[which]
        pixels = part[index - int(self._ends[which]) + len(part)]
        if pixels.dtype != np.uint8 or self._peak != BYTE:
            stretched = pixels.astype(np.float64) * (BYTE / self._peak)
            pixels = stretched.round().astype(np.uint8)
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "PNG", compress_level=1)
        return buffer.getvalue()
