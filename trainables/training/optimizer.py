"""The optimiser that a recipe asks for."""

from typing import Any

import torch
from torch import nn

from trainables.recipe import Recipe


def optimizer(recipe: Recipe, model: nn.Module, *, fused: bool = True) -> torch.optim.Optimizer:
    """Adam, AdamW or LAMB over the weights of `model` that are trained.

    `fused` computes all of Adam's updates in one kernel, where that is possible. LAMB itself clips
    gradients to `clip_grad_norm`.
    """
    groups = _groups(recipe, model)
    shared: dict[str, Any] = {"lr": recipe.lr, "eps": recipe.optimizer_eps}
    if recipe.optimizer == "lamb":
        from timm.optim.lamb import Lamb

        clip = recipe.clip_grad_norm or None
        return Lamb(groups, **shared, weight_decay=recipe.weight_decay, max_grad_norm=clip)
    shared["fused"] = fused and _fusible(model)
    if not recipe.weight_decay:
        return torch.optim.Adam(groups, **shared)
    return torch.optim.AdamW(groups, **shared, weight_decay=recipe.weight_decay)


def _fusible(model: nn.Module) -> bool:
    trained = [p for p in model.parameters() if p.requires_grad]
    return all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in trained)


def _groups(recipe: Recipe, model: nn.Module) -> list[dict[str, Any]]:
    """One group of weights; with weight decay two, the second of which has no decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if not recipe.weight_decay:
        return [{"params": trained}]
    spared = {id(p) for p in trained if sum(size > 1 for size in p.shape) < 2}
    spared |= {id(p) for name, p in model.named_parameters() if name.endswith("position")}
    return [
        {"params": [p for p in trained if id(p) not in spared]},
        {"params": [p for p in trained if id(p) in spared], "weight_decay": 0.0},
    ]
