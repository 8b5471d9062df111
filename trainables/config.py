"""What one trial is asked to do: a frozen, checked configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainables import fields, models
from trainables.recipe import Recipe


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
    """A trial: its task, its training recipe and the model's hyperparameters."""

    task: Task
    recipe: Recipe
    params: Mapping[str, Any]

    @classmethod
    def from_flat(cls, flat: Mapping[str, Any]) -> "TrialConfig":
        """Sort a flat configuration into its parts; raises ValueError with all mistakes at once.

        The sizes of the model are not judged here but by `trainables.models.build`.
        """
        own = {**fields.pick(Task, flat), **fields.pick(Recipe, flat)}
        params = {key: value for key, value in flat.items() if key not in own}
        typed = fields.mistakes((Task, Recipe), own, "a trial")
        model = str(flat.get("model", ""))
        try:
            kinds = (Task, Recipe, *models.kinds(model))
            wrong = fields.mistakes(kinds, flat, f"a trial of {model!r}")
        except ValueError as error:  # the keys of an unknown model cannot be judged
            wrong = [str(error), *typed]
        if not typed:
            for part in (Task, Recipe):
                wrong += part(**fields.pick(part, own)).mistakes()
        if wrong:
            raise ValueError("; ".join(wrong))
        return cls(
            task=Task(**fields.pick(Task, own)),
            recipe=Recipe(**fields.pick(Recipe, own)),
            params=params,
        )

    def flat(self) -> dict[str, Any]:
        """The configuration as `from_flat` takes it."""
        task = {name: getattr(self.task, name) for name in fields.names(Task)}
        recipe = {name: getattr(self.recipe, name) for name in fields.names(Recipe)}
        return {**task, **recipe, **self.params}
