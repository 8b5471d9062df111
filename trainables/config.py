"""What one trial is asked to do: a frozen, checked configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainables import fields, models, recipes
from trainables.recipe import TRAINING, Pretraining, Recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """The part of a trial that a sweep holds constant.

    `data` is the folder of a data set; `epochs` the budget; `patience` the number of epochs
    without a strictly better validation accuracy after which a trial ends by itself.
    """

    model: str
    data: str
    image_size: int
    epochs: int
    patience: int = 10
    seed: int = 0

    def mistakes(self) -> list[str]:
        limits = {"image_size": 1, "epochs": 1, "patience": 1, "seed": 0}
        return [
            f"{name} must be at least {least}, given {getattr(self, name)}"
            for name, least in limits.items()
            if getattr(self, name) < least
        ]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrialConfig:
    """A trial: its task, its training recipe and the model's hyperparameters.

    `pretraining` may ask for a stage before this one (`stages`).
    """

    task: Task
    recipe: Recipe
    params: Mapping[str, Any]
    pretraining: Pretraining

    @classmethod
    def from_flat(cls, flat: Mapping[str, Any]) -> "TrialConfig":
        """Sort a flat configuration into its parts.

        The recipe that it names fills in what it leaves open. The sizes of the model are not judged
        here but by `trainables.models.build`.

        Raises:
            ValueError: all mistakes at once.
        """
        parts = (Task, *TRAINING)
        own = {key: value for kind in parts for key, value in fields.pick(kind, flat).items()}
        params = {key: value for key, value in flat.items() if key not in own}
        typed = fields.mistakes(parts, own, "a trial")
        model = str(flat.get("model", ""))
        try:
            kinds = models.kinds(model)
            wrong = fields.mistakes((*parts, *kinds), flat, f"a trial of {model!r}")
        except ValueError as error:  # the keys of an unknown model cannot be judged
            wrong = [str(error), *typed]
        if not typed:
            wrong += Task(**fields.pick(Task, own)).mistakes()
            wrong += Recipe.filled(own).mistakes()
            wrong += Pretraining(**fields.pick(Pretraining, own)).mistakes()
        if wrong:
            raise ValueError("; ".join(wrong))
        recipe = Recipe.filled(own)
        return cls(
            task=Task(**fields.pick(Task, own)),
            recipe=recipe,
            params={**recipes.of_model(recipe.recipe, models.keys(model)), **params},
            pretraining=Pretraining(**fields.pick(Pretraining, own)),
        )

    def flat(self) -> dict[str, Any]:
        """The configuration as `from_flat` takes it."""
        parts = (self.task, self.recipe, self.pretraining)
        known = {name: getattr(part, name) for part in parts for name in fields.names(type(part))}
        return {**known, **self.params}
