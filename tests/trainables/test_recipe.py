"""Optimiser and learning rate over the budget."""

import math

import pytest
import torch
from torch import nn

from trainables import models
from trainables.recipe import Recipe


def rates(recipe: Recipe, epochs: int) -> list[float]:
    optimizer = recipe.optimizer(nn.Linear(2, 2))
    schedule, found = recipe.scheduler(optimizer, epochs), []
    for _ in range(epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


def test_the_cosine_falls_from_lr_to_zero_over_the_budget():
    expected = [0.5 * (1 + math.cos(math.pi * epoch / 8)) for epoch in range(8)]
    assert rates(Recipe(lr=1.0, schedule="cosine"), 8) == pytest.approx(expected)


def test_steps():
    assert rates(Recipe(lr=1.0, step_size=2, gamma=0.5), 5) == [1, 1, 0.5, 0.5, 0.25]


def test_weight_decay_spares_vectors_and_positions():
    params = {"depth": 1, "dim": 8, "heads": 2, "grid": 4, "layer_scale": 0.1}
    model = models.build("vit", params, image_size=8, num_classes=3)
    decayed, spared = Recipe(weight_decay=0.1).optimizer(model).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    names = {id(p): name for name, p in model.named_parameters()}
    of_spared = {names[id(p)] for p in spared["params"]}
    assert {"position", "class_token", "head.bias", "norm.weight"} <= of_spared
    assert "blocks.0.mix.3.gamma" in of_spared
    assert not any(name.endswith(".weight") and "mix.1" in name for name in of_spared)
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_without_weight_decay_it_is_adam():
    optimizer = Recipe().optimizer(nn.Linear(2, 2))
    assert type(optimizer) is torch.optim.Adam
    assert len(optimizer.param_groups) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_decay": -0.1}, "weight_decay must lie in [0, 1), given -0.1"),
        ({"schedule": "linear"}, "schedule must be one of step, cosine, given 'linear'"),
    ],
)
def test_mistakes(change, message):
    assert Recipe(**change).mistakes() == [message]
