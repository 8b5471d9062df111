"""What can be measured: a variant with given parameters, a published row, all published rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import NamedTuple

import torch

from spaces.space import Value, nearest
from trainables import fields, models
from trainables.errors import BadRequestError
from trainables.recipe import TRAINING

ALL = "all"
IMAGE_SIZE = 224
GALAXY_CLASSES, IMAGENET_CLASSES = 8, 1000  # those of the galaxy paper's rows, and of WTTF's


@dataclass(frozen=True, slots=True)
class Subject:
    """A model to measure, as `trainables.models.build` makes it.

    `image_size` is in px. `label` is for readers and does not count when subjects are compared.
    """

    model: str
    params: Mapping[str, Value]
    image_size: int
    num_classes: int
    label: str = field(compare=False)


class SubjectError(BadRequestError):
    """What was named cannot be measured."""


def architecture(params: Mapping[str, Value]) -> dict[str, Value]:
    """The parameters that make the model; training and drop path do not change its cost."""
    costless = {"drop_path", *(name for kind in TRAINING for name in fields.names(kind))}
    return {name: value for name, value in sorted(params.items()) if name not in costless}


class _Row(NamedTuple):
    """A published row of a variant, maybe with some parameters set to other values."""

    variant: str
    label: str
    params: Mapping[str, Value]
    num_classes: int

    def subject(self, image_size: int, num_classes: int | None) -> Subject:
        classes = self.num_classes if num_classes is None else num_classes
        return Subject(self.variant, self.params, image_size, classes, self.label)


def parse(
    named: Sequence[str],
    settings: Mapping[str, Value] | None = None,
    *,
    image_sizes: Sequence[int] = (IMAGE_SIZE,),
    num_classes: int | None = None,
) -> list[Subject]:
    """The subjects that a user names, without duplicates.

    Args:
        named: each is a variant (`hydra`), which stands for its first row of WTTF, if it has one,
            with `settings` in place of the row's values; a published row (`Hydra-S/16`, or
            `linformer:121021` for one of the galaxy paper); or `all`, every published row.
        settings: values of parameters of the named variants.
        image_sizes: in px; every subject is made at each of them.
        num_classes: by default the number with which a row was published.

    Raises:
        SubjectError: all mistakes: unknown names with the nearest one, settings that no named
            variant has or that do not fit it, sizes that are not positive. Whether a published row
            fits an image size shows only when it is measured.
    """
    settings = settings or {}
    wrong = [f"an image size must be positive, given {size}" for size in image_sizes if size < 1]
    if num_classes is not None and num_classes < 1:
        wrong.append(f"the number of classes must be positive, given {num_classes}")
    rows, mistakes = _rows(named, settings, [size for size in image_sizes if size > 0])
    if wrong or mistakes:
        raise SubjectError(wrong + mistakes)
    every = [row.subject(size, num_classes) for size, row in product(image_sizes, rows)]
    return [subject for place, subject in enumerate(every) if subject not in every[:place]]


def _rows(
    named: Sequence[str], settings: Mapping[str, Value], image_sizes: Sequence[int]
) -> tuple[list[_Row], list[str]]:
    """The rows that are named, and the mistakes in names and settings."""
    published, variants = _published(), models.names()
    rows: list[_Row] = []
    wrong = [] if named else [f"nothing to measure: name variants, published rows, or {ALL!r}"]
    if named and settings and not any(name in variants for name in named):
        wrong.append(f"settings need a variant, given {', '.join(settings)} with none")
    for name in named:
        if name in variants:
            row = _set(name, settings, published)
            found, mistakes = [row], _misfits(row, image_sizes)
        else:
            found, mistakes = _named(name, published)
        rows += found
        wrong += mistakes
    return rows, wrong


def _published() -> list[_Row]:
    """Every published row, WTTF's first; those of the galaxy paper are called `variant:run`."""
    rows = []
    for variant in models.names():
        wttf = models.wttf(variant)
        for name, params in models.published(variant).items():
            label = name if name in wttf else f"{variant}:{name}"
            classes = IMAGENET_CLASSES if name in wttf else GALAXY_CLASSES
            rows.append(_Row(variant, label, architecture(params), classes))
    return sorted(rows, key=lambda row: row.num_classes == GALAXY_CLASSES)


def _named(name: str, published: Sequence[_Row]) -> tuple[list[_Row], list[str]]:
    """The rows that `name` stands for, or the mistake in it."""
    found = [row for row in published if name in (ALL, row.label, row.label.partition(":")[2])]
    if name == ALL or len(found) == 1:
        return found, []
    if found:
        return [], [f"{name!r} is a row of {' and of '.join(row.label for row in found)}"]
    known = [ALL, *models.names(), *(row.label for row in published)]
    return [], [f"unknown {name!r}{nearest(name, known)} (variants: {', '.join(models.names())})"]


def _set(variant: str, settings: Mapping[str, Value], published: Sequence[_Row]) -> _Row:
    unpublished = _Row(variant, variant, {}, IMAGENET_CLASSES)
    base = next((row for row in published if row.variant == variant), unpublished)
    dropped = {"patch", "grid"} if settings.keys() & {"patch", "grid"} else set()  # say the same
    params = {name: value for name, value in base.params.items() if name not in dropped}
    told = " ".join(f"{name}={value}" for name, value in settings.items())
    label = f"{variant} {told}" if settings else base.label
    return base._replace(label=label, params=architecture({**params, **settings}))


def _misfits(row: _Row, image_sizes: Sequence[int]) -> list[str]:
    """What keeps the model of `row` from being built."""
    wrong: list[str] = []
    for size in image_sizes:
        try:
            with torch.device("meta"):
                models.build(row.variant, row.params, image_size=size, num_classes=row.num_classes)
        except ValueError as error:
            wrong.append(f"{row.label} at {size} px: {error}")
    return wrong
