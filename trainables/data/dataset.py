"""What a data set is: its classes, counts, statistics and shards, and the mistakes it can have."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trainables.errors import Exit, UserError

WHOLE = 16
SPLITS = ("train", "valid", "test")
SIDE_FILE = "dataset.json"
FORMAT_VERSION = 1

Progress = Callable[[int, int], None]
"""Is called with (done, total) during long work."""


class DataError(UserError, ValueError):
    """Mistakes in a data set; `mistakes` lists them all, with their places and how to fix them."""

    exit = Exit.DATA


@dataclass(frozen=True, slots=True)
class Symmetries:
    """Changes that keep an image's class: turns by up to +-`rotation_degrees`, mirroring."""

    rotation_degrees: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False

    def __str__(self) -> str:
        if self == Symmetries():
            return "an image that is turned or mirrored may be of another class, so none is"
        turned = f"turned by up to {self.rotation_degrees:g} degrees"
        mirrored = {"left to right": self.horizontal_flip, "upside down": self.vertical_flip}
        sides = [side for side, allowed in mirrored.items() if allowed]
        done = [turned] * (self.rotation_degrees > 0)
        done += [f"mirrored {' or '.join(sides)}"] * bool(sides)
        return f"an image stays of its class when {' or '.join(done)}"


@dataclass(frozen=True, slots=True)
class Shard:
    """One Parquet file of a data set, as it was when the data set was described."""

    file: str
    rows: int
    bytes: int
    sha256: str

    @property
    def split(self) -> str:
        return self.file.split("-", 1)[0]


@dataclass(frozen=True)
class Dataset:
    """Labelled images in Parquet shards under `path`, in the splits train, valid and test.

    `mean` and `std` are per RGB channel of the train split, on a scale of 0..1; `image_size` is
    the native size in pixels; `counts` has the images of each class in each split; `bits` are those
    that pixels of 16-bit images use.
    """

    path: Path
    name: str
    classes: tuple[str, ...]
    counts: Mapping[str, tuple[int, ...]]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    image_size: int
    symmetries: Symmetries
    shards: tuple[Shard, ...]
    source: str
    licence: str
    bits: int = WHOLE

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def class_counts(self, split: str) -> tuple[int, ...]:
        """Number of images of each class in a split."""
        return self.counts[split]

    def rows(self, split: str) -> int:
        """Number of images in a split."""
        return sum(self.counts[split])

    def shards_of(self, split: str) -> list[Path]:
        """The files of a split, in the order in which its rows are numbered."""
        return [self.path / shard.file for shard in self.shards if shard.split == split]

    @cached_property
    def fingerprint(self) -> str:
        """A name for the content: SHA-256 over the hashes of the shards and their description."""
        said = [self.classes, self.mean, self.std, asdict(self.symmetries)]
        said += [self.bits] if self.bits != WHOLE else []
        content = [sorted(shard.sha256 for shard in self.shards), said]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()

    def document(self) -> dict[str, Any]:
        """What `dataset.json` holds."""
        return {
            "format_version": FORMAT_VERSION,
            "name": self.name,
            "classes": list(self.classes),
            "splits": {
                split: {"rows": self.rows(split), "counts": list(self.counts[split])}
                for split in SPLITS
            },
            "mean": list(self.mean),
            "std": list(self.std),
            "image_size": self.image_size,
            "symmetries": asdict(self.symmetries),
            "shards": [asdict(shard) for shard in self.shards],
            "source": self.source,
            "licence": self.licence,
            **({"bits": self.bits} if self.bits != WHOLE else {}),
        }

    @classmethod
    def from_document(cls, path: Path, document: Mapping[str, Any]) -> "Dataset":
        """The data set in `path` that `document` describes, which must have been checked."""
        return cls(
            path=path,
            name=document["name"],
            classes=tuple(document["classes"]),
            counts={split: tuple(document["splits"][split]["counts"]) for split in SPLITS},
            mean=tuple(document["mean"]),
            std=tuple(document["std"]),
            image_size=document["image_size"],
            symmetries=Symmetries(**document["symmetries"]),
            shards=tuple(Shard(**shard) for shard in document["shards"]),
            source=document["source"],
            licence=document["licence"],
            bits=document.get("bits", WHOLE),
        )
