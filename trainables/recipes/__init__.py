"""Published recipes of training by their file names: literal values, and where they are from.

`VALUES` of a file are those of `trainables.recipe.Recipe` in which it differs from the defaults,
`PRETRAIN` those of a first stage where they are others, `MODEL` hyperparameters of the model that
belong to the recipe, and `EPOCHS` the published budget.
"""

import importlib
import pkgutil
from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any

from spaces.space import nearest

DEFAULT = "galaxy"
# what a recipe decides even where a space would search it
_DECIDED = ("schedule", "step_size", "gamma")


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def mistakes(name: object) -> list[str]:
    """What is wrong with `name` as that of a recipe."""
    known = names()
    if name in known:
        return []
    return [f"recipe must be one of {', '.join(known)}, given {name!r}{nearest(str(name), known)}"]


def _file(name: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{name}")


def values(name: str, *, first_stage: bool = False) -> dict[str, Any]:
    """The values of a recipe; in the first of two stages those of its pre-training."""
    file = _file(name)
    of_stage = getattr(file, "PRETRAIN", file.VALUES) if first_stage else file.VALUES
    return {**of_stage, "recipe": name}


def of_model(name: str, keys: Collection[str]) -> dict[str, Any]:
    """The hyperparameters that a recipe gives to a model which has those `keys`."""
    given = getattr(_file(name), "MODEL", {})
    return {key: value for key, value in given.items() if key in keys}


def settled(settings: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    """`settings` of a search with what their recipe decides, of the model's `keys` too."""
    name = settings.get("recipe")
    if name not in names():  # none, or a mistake that is told elsewhere
        return dict(settings)
    decided = {key: value for key, value in values(name).items() if key in _DECIDED}
    return {**decided, **of_model(name, keys), **settings}
