"""Whether a space holds what can be trained: its values alone, and together at an image size."""

import random
from collections import Counter
from collections.abc import Collection, Mapping

from spaces.space import Choice, Domain, Integer, Real, Space, Value
from trainables.recipe import TRAINING

_DRAWS = 2000
_SAMPLE = 20  # configurations of a space that nobody has tried, that are built
_BUILT = 10  # values of a choice with which a model is built
_SIZES = (56, 64, 96, 112, 128, 192, 224, 256, 384)  # suggested if the given one does not fit


def space_mistakes(space: Space, image_size: int, widened: Collection[str]) -> list[str]:
    """What is wrong with a space at an image size.

    Of the parameters in `widened` the ends, or all values, are looked at too: nobody has tried
    them.
    """
    if wrong := _impossible(space, space.draw(random.Random(0)), image_size, widened):
        return wrong
    kept: list[dict[str, Value]] = []
    broken = Counter[str]()
    for number in range(_DRAWS):
        draw = space.draw(random.Random(number))
        try:
            rules = space.broken(draw, image_size)
        except (ArithmeticError, TypeError, ValueError) as error:  # a rule cannot compute with it
            said = f"a rule cannot be judged ({error}): {draw}"
            return _unbuildable(space, draw, image_size) or [said]
        broken.update(rules[:1])
        if not rules:
            kept.append(draw)
            if not widened:  # one is enough of a space that comes with a variant
                break
    if not kept:
        return [_never_kept(space, broken, image_size)]
    wrong = _unbuildable(space, kept[0], image_size)
    if wrong or not widened:
        return wrong
    if wrong := _odd_values(space, kept, image_size, widened):
        return wrong
    for draw in kept[:_SAMPLE]:
        if wrong := _unruled(space, draw, image_size):
            return wrong
    return []


def _never_kept(space: Space, broken: Counter[str], image_size: int) -> str:
    """What to say of a space whose rules no draw keeps, and the image sizes that would do."""
    draws = [space.draw(random.Random(number)) for number in range(_DRAWS)]
    sizes = [s for s in _SIZES if any(not space.broken(draw, s) for draw in draws)]
    hint = f"; image sizes that work: {', '.join(map(str, sizes))}" if sizes else ""
    (commonest, _), *_ = broken.most_common(1)
    return f"no configuration at {image_size} px keeps the rules, such as: {commonest}{hint}"


def _unruled(space: Space, params: Mapping[str, Value], image_size: int) -> list[str]:
    """What the model forbids and no rule does: later it would end the sweep."""
    said = "this keeps the rules and cannot be built, so a rule is missing"
    return [f"{said}: {error}" for error in _unbuildable(space, params, image_size)]


def _impossible(
    space: Space, drawn: Mapping[str, Value], image_size: int, widened: Collection[str]
) -> list[str]:
    """Values that a trial cannot have, whatever the others are."""
    from trainables.config import TrialConfig

    task = {"model": space.model, "data": "", "image_size": image_size, "epochs": 1}
    tried = [drawn]
    tried += [{**drawn, name: v} for name in widened for v in _ends(space.params[name])]
    wrong: dict[str, None] = {}
    for params in tried:
        try:
            TrialConfig.from_flat({**task, **params})
        except ValueError as error:
            wrong[str(error)] = None
    return list(wrong)


def _odd_values(
    space: Space, kept: list[dict[str, Value]], image_size: int, widened: Collection[str]
) -> list[str]:
    """Values of the model with which a configuration that keeps the rules cannot be built."""
    from trainables import fields

    of_training = {name for kind in TRAINING for name in fields.names(kind)}
    wrong: dict[str, None] = {}
    for name in sorted(set(widened) - of_training):
        for value in _ends(space.params[name])[:_BUILT]:
            alike = (space.effective({**drawn, name: value}) for drawn in kept if name in drawn)
            params = next((p for p in alike if not space.broken(p, image_size)), None)
            if params is None and isinstance(space.params[name], Choice):
                wrong[f"{name}={value}: no configuration at {image_size} px keeps the rules"] = None
            elif params is not None:
                wrong |= dict.fromkeys(_unbuildable(space, params, image_size))
    return list(wrong)


def _ends(domain: Domain) -> list[Value]:
    match domain:
        case Choice():
            return list(domain.values)
        case Integer() | Real():
            return list(dict.fromkeys((domain.low, domain.high)))
        case _:
            raise TypeError(f"{domain!r} is no domain of a space")


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
