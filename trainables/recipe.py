"""How a model is trained, as numbers and names; named recipes fill in what a trial leaves open.

`trainables.recipes` holds the published ones.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trainables import fields, recipes

if TYPE_CHECKING:
    import torch

_CHOICES = {
    "optimizer": ("adam", "lamb"),
    "schedule": ("step", "cosine"),
    "class_weights": ("uniform", "inverse"),
    "augmentation": ("symmetries", "three_augment"),
    "normalisation": ("data", "imagenet", "half"),
}
# name: (least, most), both allowed
_RANGES = {
    "lr": (math.ulp(0.0), math.inf),
    "min_lr": (0, math.inf),
    "warmup_lr": (0, math.inf),
    "warmup_share": (0, 1),
    "step_size": (1, math.inf),
    "gamma": (math.ulp(0.0), 1),
    "weight_decay": (0, 1),
    "optimizer_eps": (0, 1),
    "clip_grad_norm": (0, math.inf),
    "batch_size": (1, math.inf),
    "label_smoothing": (0, 1),
    "cutmix": (0, 1),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Training hyperparameters of a trial, or of one of its stages.

    `batch_size` is that of all workers together. With the `step` schedule, the learning rate of
    epoch e (from 0) is `lr * gamma ** (e // step_size)`; with `cosine`, it rises from `warmup_lr`
    to `lr` during the first `warmup_share` of the budget and then falls to `min_lr` (see
    `learning_rate`). `adam` with weight decay is AdamW (Loshchilov and Hutter 2019, algorithm 2),
    `lamb` is that of You et al. 2020. `weight_decay` does not apply to norms, biases, other vectors
    and positions. `clip_grad_norm` 0 clips nothing. `cutmix` is the share of images that get a part
    of another image. `mixed_precision` is bf16 if the device has it, else fp16 with scaled losses
    on CUDA. `class_weights` are `uniform`, or `inverse` to the class's share of the training split.
    `normalisation` uses the mean and deviation of the data or of ImageNet, or maps to -1..1.
    """

    recipe: str = recipes.DEFAULT
    optimizer: str = "adam"
    optimizer_eps: float = 1e-8
    lr: float = 3e-4
    schedule: str = "step"
    step_size: int = 5
    gamma: float = 0.9
    min_lr: float = 0.0
    warmup_share: float = 0.0
    warmup_lr: float = 0.0
    weight_decay: float = 0.0
    clip_grad_norm: float = 0.0
    batch_size: int = 64
    class_weights: str = "uniform"
    label_smoothing: float = 0.0
    augmentation: str = "symmetries"
    cutmix: float = 0.0
    normalisation: str = "data"
    mixed_precision: bool = False

    @classmethod
    def filled(cls, given: Mapping[str, Any], *, first_stage: bool = False) -> "Recipe":
        """The recipe that `given` names, with its own values in place of the recipe's."""
        own = fields.pick(cls, given)
        name = own.get("recipe", recipes.DEFAULT)
        base = {} if recipes.mistakes(name) else recipes.values(name, first_stage=first_stage)
        return cls(**{**base, **own})

    def mistakes(self) -> list[str]:
        wrong = recipes.mistakes(self.recipe)
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not (math.isfinite(value) and least <= value <= most):
                wrong.append(f"{name} must be {_range(least, most)}, given {value}")
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                wrong.append(
                    f"{name} must be one of {', '.join(allowed)}, given {getattr(self, name)!r}"
                )
        return wrong

    def weights(self, class_counts: Sequence[int]) -> "torch.Tensor":
        """(classes,) weights of the loss, with mean 1."""
        import torch  # settings are checked without it

        if self.class_weights == "uniform":
            return torch.ones(len(class_counts))
        inverse = 1 / torch.tensor(class_counts, dtype=torch.float64)
        return (inverse / inverse.mean()).float()


def _range(least: float, most: float) -> str:
    low = "above 0" if 0 < least < 1 else f"at least {least}"
    return f"a finite number {low}" if most == math.inf else f"a number {low} and at most {most}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pretraining:
    """A first stage of a trial, before the stage that its task describes; 0 epochs mean none.

    Data and image size default to those of the task, learning rate and batch size to those that the
    recipe has for pre-training.
    """

    pretrain_epochs: int = 0
    pretrain_data: str | None = None
    pretrain_image_size: int | None = None
    pretrain_lr: float | None = None
    pretrain_batch_size: int | None = None

    def mistakes(self) -> list[str]:
        """Values that no first stage can have; the recipe reports its own mistakes."""
        wrong = []
        if self.pretrain_epochs < 0:
            wrong.append(f"pretrain_epochs must be at least 0, given {self.pretrain_epochs}")
        if self.pretrain_image_size is not None and self.pretrain_image_size < 1:
            wrong.append(
                f"pretrain_image_size must be at least 1, given {self.pretrain_image_size}"
            )
        return wrong


TRAINING = (Recipe, Pretraining)
"""The kinds whose fields say how a model is trained, not which model it is."""
