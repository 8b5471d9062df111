"""The space that a sweep searches: its variant's, with what `--set` says; and checks of both."""

import random
from collections import Counter
from collections.abc import Mapping

import spaces
from spaces.first_stage import with_first_stage
from spaces.space import Space, Value, nearest
from trainables import fields
from trainables.recipe import TRAINING

_DRAWS = 2000
_ONLY_IF = " only if "
_SIZES = (56, 64, 96, 112, 128, 192, 224, 256, 384)  # suggested if the given one does not fit


def searched(variant: str, settings: Mapping[str, Value]) -> Space:
    """The space of a variant, with the constants of `settings` and of the recipe that they name."""
    space, given = spaces.load(variant), dict(settings)
    if "recipe" in settings:
        from trainables import models, recipes

        left_open = set(models.keys(space.model)) - space.params.keys()
        given = recipes.settled(settings, left_open)
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


def setting_mistakes(variant: str, settings: Mapping[str, Value], image_size: int) -> list[str]:
    """All mistakes in `--set` and the image size, for the space of `variant`."""
    from trainables import models
    from trainables.config import Task, TrialConfig

    space = spaces.load(variant)
    of_model = models.keys(space.model)
    known = [*of_model, *(name for kind in TRAINING for name in fields.names(kind))]
    wrong: list[str] = []
    for name in settings:
        if name in fields.names(Task):
            wrong.append(f"--set {name}: this has an option of its own, see --help")
        elif name not in known:
            wrong.append(f"--set {name}: no such parameter{nearest(name, known)}")
    if "patch" in settings and "grid" in settings:
        wrong.append("--set: patch (pixels) and grid (patches per side) say the same; give one")
    if wrong:
        return wrong
    fixed = searched(variant, settings)
    draws = [fixed.draw(random.Random(i)) for i in range(_DRAWS)]
    task = {"model": space.model, "data": "", "image_size": image_size, "epochs": 1}
    try:
        TrialConfig.from_flat({**task, **draws[0]})
    except ValueError as error:
        return [str(error)]
    try:
        broken = [fixed.broken(draw, image_size) for draw in draws]
    except (ArithmeticError, TypeError, ValueError):  # a constant for which a rule cannot compute
        return _unbuildable(fixed, draws[0], image_size)
    if all(broken):
        (commonest, _), *_ = Counter(rule for rules in broken for rule in rules[:1]).most_common(1)
        sizes = [s for s in _SIZES if any(not fixed.broken(d, s) for d in draws)]
        hint = f"; image sizes that work: {', '.join(map(str, sizes))}" if sizes else ""
        return [f"no configuration at {image_size} px keeps the rules, such as: {commonest}{hint}"]
    return _unbuildable(fixed, draws[broken.index([])], image_size)


def _unbuildable(space: Space, params: Mapping[str, Value], image_size: int) -> list[str]:
    """Why a configuration that keeps the rules cannot be built, since constants may forbid it."""
    import torch

    from trainables import models

    try:
        with torch.device("meta"):
            models.build(space.model, params, image_size=image_size, num_classes=2)
    except ValueError as error:
        return [str(error)]
    return []
