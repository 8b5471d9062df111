"""Forms in which labelled images lie on a disk, one per file.

A form is a docstring whose first line says what is expected and `listing(source, options)`, which
reads no image and raises DataError with all mistakes. With `fits(source, options)`, a quick look,
it is also recognised unasked, and `hints(source, options)` says why a source that is near it is not
of it; a form that is `GENERAL` gives way to one that is not. The file name
is the name of the form; adding one edits nothing else.
"""

import difflib
import importlib
import pkgutil
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from trainables.data.dataset import DataError
from trainables.errors import Exit


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person says of a source beyond its path; forms use what they have a use for.

    `labels` are files of labels; the columns are names of columns in them, guessed where None;
    `classes` names the classes in the order of their numbers. `bits` are those that pixels of more
    than 8 use. Folders in `leave` are no part of the
    source, though they may lie in it.
    """

    labels: tuple[Path, ...] = ()
    id_column: str | None = None
    label_column: str | None = None
    split_column: str | None = None
    classes: tuple[str, ...] | None = None
    bits: int | None = None
    leave: tuple[Path, ...] = ()


class UnknownFormError(DataError):
    """A form that does not exist, or a source whose form cannot be told: a bad request."""

    exit = Exit.BAD_REQUEST


def names() -> list[str]:
    """All forms: the modules of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> ModuleType:
    """The module of a form. Raises UnknownFormError with the nearest name and all there are."""
    if name in names():
        return importlib.import_module(f"{__name__}.{name}")
    near = difflib.get_close_matches(name.lower(), names(), 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise UnknownFormError([f"unknown form {name!r}{hint}; the forms are:", *_expected(names())])


def recognised(source: Path, options: Options) -> str:
    """The one form that fits the source. Raises UnknownFormError if none does, or several do."""
    modules = {name: load(name) for name in names()}
    fitting = [
        n for n, form in modules.items() if hasattr(form, "fits") and form.fits(source, options)
    ]
    fitting = [name for name in fitting if not hasattr(modules[name], "GENERAL")] or fitting
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        said = f"{source}: this could be {' or '.join(fitting)}; say which with --form:"
        raise UnknownFormError([said, *_expected(fitting)])
    seen = [
        said for form in modules.values() for said in getattr(form, "hints", _none)(source, options)
    ]
    said = f"{source}: of none of the known forms; bring it into one of them:"
    raise UnknownFormError([*dict.fromkeys(seen), said, *_expected(names())])


def _none(_source: Path, _options: Options) -> list[str]:
    return []


def _expected(forms: list[str]) -> list[str]:
    return [f"  {name}: {(load(name).__doc__ or '').splitlines()[0]}" for name in forms]
