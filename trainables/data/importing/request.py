"""The command `import`: what may be asked for, checked, and the data set made of it."""

import argparse
from argparse import BooleanOptionalAction
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from trainables.data.dataset import SPLITS, WHOLE, DataError, Dataset, Progress, Symmetries
from trainables.data.describe import About
from trainables.data.importing import forms
from trainables.data.importing.importer import import_, name_mistakes, share_mistakes
from trainables.data.importing.job import ImportRequestError
from trainables.home import Home

SHARES = (0.8, 0.1, 0.1)


def add_arguments(command: argparse.ArgumentParser) -> None:
    """What `import` takes besides the home."""
    add = command.add_argument
    add("images", metavar="SOURCE", type=Path, help="folder or file with the images")
    add("--to", required=True, metavar="NAME", help="the data set's name from now on")
    known = ", ".join(forms.names())
    add("--form", help=f"what the source is, where that cannot be seen: {known}")
    add("--labels", nargs="+", default=[], type=Path, metavar="FILE", help="tables of labels")
    add("--id-column", metavar="COLUMN", help="column that names the image")
    add("--label-column", metavar="COLUMN", help="column of its class")
    add("--split-column", metavar="COLUMN", help="column of its split")
    add("--classes", nargs="+", metavar="CLASS", help="classes by number, or a file, one per line")
    shares = f"shares of {', '.join(SPLITS)} where the source has no splits (default: .8 .1 .1)"
    add("--splits", nargs=3, type=float, default=SHARES, metavar="SHARE", help=shares)
    add("--seed", type=int, default=0, help="of the splits (default: 0)")
    add("--skip-bad", action="store_true", help="leave bad images out; skipped.csv names them")
    add("--source", metavar="TEXT", help="where the images are from")
    add("--licence", metavar="TEXT", help="of the images")
    add("--rotation", type=float, metavar="DEGREES", help="turned so far, the class is the same")
    for axis in ("horizontal", "vertical"):
        mirrored = {"action": BooleanOptionalAction, "default": None}
        add(f"--{axis}-flip", **mirrored, help="so mirrored, the class is (not) the same")
    deep = "that 16-bit images use, 8 to 16: 2**N - 1 is white (default: by their highest pixel)"
    add("--bits", type=int, metavar="N", help=deep)


def run(
    given: argparse.Namespace, progress: Progress | None, note: Callable[[str], None]
) -> Dataset:
    """The data set that is asked for.

    Raises ImportRequestError or UnknownFormError for what is wrong with the request, DataError for
    what is wrong with the images.
    """
    mistakes = [*_mistakes(given), *name_mistakes(given.to), *share_mistakes(given.splits)]
    if mistakes:
        raise ImportRequestError(mistakes)
    options = forms.Options(
        labels=tuple(given.labels),
        id_column=given.id_column,
        label_column=given.label_column,
        split_column=given.split_column,
        classes=_classes(given.classes),
        bits=given.bits,
        leave=_ours(given.images, given.home),
    )
    form = given.form or forms.recognised(given.images, options)
    note(f"{given.images} is read as {form}")
    listing = forms.load(form).listing(given.images, options)
    given.home.prepare()
    return import_(
        replace(listing, about=_about(listing.about, given)),
        given.home.data / given.to,
        origin=f"{form}: {given.images.resolve()}",
        splits=given.splits,
        seed=given.seed,
        skip_bad=given.skip_bad,
        progress=progress,
        note=note,
    )


def _ours(source: Path, home: Home) -> tuple[Path, ...]:
    """Folders in the source that are ours: the home, or what lies in it where it is the source."""
    if home.path.resolve() != source.resolve():
        return (home.path, home.data)
    plans = home.path.glob("*/plan.json") if home.path.is_dir() else ()
    return (home.data, home.reports, home.artifacts, *(plan.parent for plan in plans))


def _mistakes(given: argparse.Namespace) -> list[str]:
    """All that is wrong with a request, before anything is read."""
    mistakes = [
        f"{path}: no such {what}; correct the path"
        for what, path in (("source", given.images), *(("table", path) for path in given.labels))
        if not path.exists()
    ]
    if given.form is not None:
        try:
            forms.load(given.form)
        except forms.UnknownFormError as error:
            mistakes += error.mistakes
    if given.rotation is not None and not 0 <= given.rotation <= 180:
        mistakes.append(f"--rotation {given.rotation:g}: give degrees from 0 to 180")
    if given.bits is not None and not 8 <= given.bits <= WHOLE:
        mistakes.append(f"--bits {given.bits}: give a number from 8 to 16")
    return mistakes


def _classes(given: list[str] | None) -> tuple[str, ...] | None:
    if given is None:
        return None
    if len(given) == 1 and Path(given[0]).is_file():
        try:
            lines = Path(given[0]).read_text(encoding="utf-8-sig").splitlines()
        except ValueError as error:
            raise DataError([f"{given[0]}: not UTF-8 text; save it so"]) from error
        return tuple(line.strip() for line in lines if line.strip())
    return tuple(given)


def _said(given: bool | None, known: bool) -> bool:
    return known if given is None else given


def _about(known: About, given: argparse.Namespace) -> About:
    """What the form knows, and what is said on the command line in its place."""
    symmetries = known.symmetries or Symmetries()
    return replace(
        known,
        source=given.source or known.source or f"imported from {given.images.name}",
        licence=given.licence or known.licence,
        symmetries=Symmetries(
            symmetries.rotation_degrees if given.rotation is None else given.rotation,
            _said(given.horizontal_flip, symmetries.horizontal_flip),
            _said(given.vertical_flip, symmetries.vertical_flip),
        ),
        bits=given.bits,
    )
