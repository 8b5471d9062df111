"""The space that a sweep searches: its variant's, with what `--set` says; and checks of both."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import spaces
from search.buildable import space_mistakes
from spaces import document
from spaces.conditions import parents
from spaces.first_stage import with_first_stage
from spaces.space import Space, Value, nearest
from spaces.wttf import TRAINING_CONDITIONS
from trainables import fields
from trainables.recipe import TRAINING

_ONLY_IF = " only if "


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a user says of the space: constants, and what is searched in place of the variant's.

    As a plan keeps it: `domains` and `own_space` are documents; that one is empty where the
    variant's own space is searched.
    """

    settings: Mapping[str, Value] = field(default_factory=dict[str, Value])
    domains: Mapping[str, Any] = field(default_factory=dict[str, Any])
    own_space: Mapping[str, Any] = field(default_factory=dict[str, Any])


def searched(
    variant: str,
    settings: Mapping[str, Value],
    domains: Mapping[str, Any] | None = None,
    own_space: Mapping[str, Any] | None = None,
) -> Space:
    """The space of a variant, or the user's own, with `domains` searched in it.

    Constant in it are those of `settings`, and of the recipe that they name.

    Raises ValueError if a document is damaged.
    """
    space, given = spaces.load(variant), dict(settings)
    if own_space:
        own = document.read(own_space)
        space = replace(own, model=space.model, family=space.family)
    if domains:
        space = space.search({n: document.read_domain(found) for n, found in domains.items()})
    if domains or own_space:
        space = replace(space, conditions={**TRAINING_CONDITIONS, **space.conditions})
    if "recipe" in settings:
        from trainables import models, recipes

        left_open = set(models.keys(space.model)) - space.params.keys()
        given = recipes.settled(settings, left_open)
        given = {n: v for n, v in given.items() if n in settings or n not in (domains or {})}
    return with_first_stage(space.fix(given))


def described(space: Space) -> str:
    """A space as text, so that a change is noticed and shown."""
    domains = [f"{name} {domain}" for name, domain in sorted(space.params.items())]
    conditions = [
        f"{name}{_ONLY_IF}{' and '.join(map(str, found))}"
        for name, found in sorted(space.conditional.items())
    ]
    return "; ".join(domains + [str(rule) for rule in space.rules] + conditions)


def alike(earlier: str, now: str) -> bool:
    """Whether two texts describe the same space; one from before there were conditions has none."""
    parts = [[part for part in text.split("; ") if _ONLY_IF not in part] for text in (earlier, now)]
    without = "; ".join(parts[0])
    return earlier == now or (parts[0] == parts[1] and without in (earlier, now))


def fitting_size(variant: str, image_size: int) -> int:
    """`image_size`, or the next larger one that works for all parameters of the variant."""
    rules = [rule for rule in spaces.load(variant).rules if rule.names == ("image_size",)]
    sizes = range(image_size, 2 * image_size)
    return next(
        (size for size in sizes if all(rule.holds({"image_size": size}) for rule in rules)),
        image_size,
    )


def _named(own: Mapping[str, Any]) -> list[str]:
    """The parameters that the document of a user's space names."""
    if not own:
        return []
    conditions = document.read(own).conditions
    asked = {parent for found in conditions.values() for parent in parents(found)}
    return list(
        dict.fromkeys([*own.get("params", ()), *own.get("fixed", ()), *conditions, *sorted(asked)])
    )


def setting_mistakes(
    variant: str, settings: Mapping[str, Value], image_size: int, chosen: Chosen | None = None
) -> list[str]:
    """All mistakes in `--set`, in what else is `chosen` and in the image size."""
    from trainables import models
    from trainables.config import Task

    chosen, model = chosen or Chosen(), spaces.load(variant).model
    of_model = models.keys(model)
    known = [*of_model, *(name for kind in TRAINING for name in fields.names(kind))]
    said = [*settings, *chosen.domains]
    wrong: list[str] = []
    for name in said:
        if name in fields.names(Task):
            wrong.append(f"--set {name}: this has an option of its own, see --help")
        elif name not in known:
            wrong.append(f"--set {name}: no such parameter{nearest(name, known)}")
    if "patch" in said and "grid" in said:
        wrong.append("--set: patch (pixels) and grid (patches per side) say the same; give one")
    own = chosen.own_space
    for name in _named(own):
        if name not in known:
            wrong.append(f"--space: {variant} has no parameter {name!r}{nearest(name, known)}")
    if own.get("model", model) not in ("", model):
        wrong.append(f"--space: its model is {own['model']!r}, and that of {variant} is {model!r}")
    if wrong:
        return wrong
    try:
        space = searched(variant, settings, chosen.domains, own)
    except ValueError as error:
        return [f"--set: {error}"]
    widened = space.params.keys() & {*chosen.domains, *own.get("params", ())}
    return space_mistakes(space, image_size, sorted(widened))
