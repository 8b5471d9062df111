"""What may be searched: one literal space per variant, found by its file name."""

import importlib
import pkgutil
from functools import cache

from spaces.space import Space, nearest


@cache
def _found() -> dict[str, Space]:
    modules = (importlib.import_module(f"spaces.{m.name}") for m in pkgutil.iter_modules(__path__))
    return {m.__name__.split(".")[1]: m.SPACE for m in modules if hasattr(m, "SPACE")}


def names() -> list[str]:
    """The variants that can be searched: the files of this folder that hold a `SPACE`."""
    return sorted(_found())


def load(name: str) -> Space:
    """The space of variant `name`.

    Raises:
        ValueError: there is none; the message has the nearest name.
    """
    if name not in _found():
        known = names()
        raise ValueError(
            f"unknown variant {name!r}{nearest(name, known)} (variants: {', '.join(known)})"
        )
    return _found()[name]
