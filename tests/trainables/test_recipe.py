"""Recipes: what they hold, the optimiser, the learning rate over the budget."""

import dataclasses
import re

import pytest
import torch
from timm.optim.lamb import Lamb
from timm.scheduler.cosine_lr import CosineLRScheduler
from torch import nn

from trainables import fields, models, recipes
from trainables.config import TrialConfig
from trainables.recipe import Pretraining, Recipe
from trainables.training.learning_rate import learning_rate
from trainables.training.optimizer import optimizer

TASK = {"model": "vit", "data": "", "image_size": 16, "epochs": 4}
SIZES = {"grid": 4, "depth": 1, "dim": 16, "heads": 2}
# Table 1 of WTTF: row, value in this project's words, pre-training, fine-tuning
TABLE_1 = [
    ("LR", "lr", 3e-3, 3e-4),
    ("Schedule", "schedule", "cosine", "cosine"),
    ("Min LR", "min_lr", 1e-5, 1e-5),
    ("Batch Size", "batch_size", 2048, 2048),
    ("Warmup Epochs", "warmup_share", 5 / 90, 5 / 50),
    ("Warmup LR", "warmup_lr", 1e-6, 1e-6),
    ("Weight decay", "weight_decay", 0.02, 0.02),
    ("Grad Clipping", "clip_grad_norm", 1.0, 1.0),
    ("Label Smoothing", "label_smoothing", 0.1, 0.1),
    ("Optimizer", "optimizer", "lamb", "lamb"),
    ("Optimizer eps", "optimizer_eps", 1e-7, 1e-7),
    ("Mixed precision", "mixed_precision", True, True),
    ("Augmentation", "augmentation", "three_augment", "three_augment"),
    ("Cutmix prob.", "cutmix", 1.0, 1.0),
    ("Normalization", "normalisation", "imagenet", "imagenet"),
]


def rates(recipe: Recipe, epochs: int) -> list[float]:
    return [learning_rate(recipe, epoch, epochs) for epoch in range(epochs)]


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_sound(name):
    for first_stage in (False, True):
        recipe = Recipe.filled({"recipe": name}, first_stage=first_stage)
        assert recipe.mistakes() == []
        assert fields.mistakes([Recipe], dataclasses.asdict(recipe), name) == []
    assert recipes.of_model(name, models.keys("vit")).keys() <= set(models.keys("vit"))


def test_without_a_name_it_is_the_galaxy_papers():
    assert Recipe.filled({}) == Recipe() == Recipe.filled({"recipe": "galaxy"})


def test_own_values_come_before_those_of_the_recipe():
    recipe = Recipe.filled({"recipe": "deit3", "lr": 0.5})
    assert (recipe.lr, recipe.optimizer) == (0.5, "lamb")


@pytest.mark.parametrize(("row", "name", "pretrain", "finetune"), TABLE_1)
def test_deit3_is_table_1(row, name, pretrain, finetune):
    both = [Recipe.filled({"recipe": "deit3"}, first_stage=first) for first in (True, False)]
    assert [getattr(recipe, name) for recipe in both] == [pretrain, finetune], row


def test_deit3_gives_the_model_what_table_1_says_of_it():
    config = TrialConfig.from_flat({**TASK, **SIZES, "recipe": "deit3"})
    assert {"drop_path": 0.05, "layer_scale": 1e-4, "dropout": 0.0}.items() <= config.params.items()
    assert "layer_scale" not in TrialConfig.from_flat({**TASK, **SIZES}).params


@pytest.mark.parametrize(
    ("name", "epochs", "batch_size"),
    [("deit3_cars", 2000, 1024), ("deit3_flowers", 2000, 256), ("deit3_places", 50, 2048)],
)
def test_table_2(name, epochs, batch_size):
    recipe = Recipe.filled({"recipe": name})
    assert (recipe.lr, recipe.batch_size) == (3e-4, batch_size)
    assert recipe.warmup_share * epochs == pytest.approx(5)


@pytest.mark.parametrize(("first_stage", "epochs"), [(False, 50), (True, 90)])
def test_deit3_reaches_its_peak(first_stage, epochs):
    recipe = Recipe.filled({"recipe": "deit3"}, first_stage=first_stage)
    found = rates(recipe, epochs)
    assert found[0] == 1e-6
    assert max(found) == found[5] == recipe.lr
    assert 1e-5 < found[-1] < 1.5e-5 * (recipe.lr / 3e-4)
    assert learning_rate(recipe, epochs, epochs) == pytest.approx(1e-5)


def test_a_smaller_budget_keeps_the_shape_of_the_schedule():
    recipe = Recipe.filled({"recipe": "deit3"})
    long = [learning_rate(recipe, used * 50, 50) for used in (0, 0.05, 0.1, 0.3, 0.7, 1)]
    short = [learning_rate(recipe, used * 10, 10) for used in (0, 0.05, 0.1, 0.3, 0.7, 1)]
    assert short == pytest.approx(long)


def test_the_cosine_is_timms_with_a_warm_up_before_it():
    recipe, epochs, warmup = Recipe.filled({"recipe": "deit3"}), 50, 5
    model = nn.Linear(2, 2)
    theirs = CosineLRScheduler(
        torch.optim.SGD(model.parameters(), lr=recipe.lr),
        t_initial=epochs - warmup,
        lr_min=recipe.min_lr,
        warmup_t=warmup,
        warmup_lr_init=recipe.warmup_lr,
        warmup_prefix=True,
    )
    expected = [theirs._get_lr(epoch)[0] for epoch in range(epochs)]
    assert rates(recipe, epochs) == pytest.approx(expected, rel=1e-9)


def test_without_a_warm_up_the_cosine_falls_from_lr_to_zero():
    model = nn.Linear(2, 2)
    adam = torch.optim.Adam(model.parameters(), lr=1.0)
    theirs, expected = torch.optim.lr_scheduler.CosineAnnealingLR(adam, 8), []
    for _ in range(8):
        expected.append(adam.param_groups[0]["lr"])
        adam.step()
        theirs.step()
    assert rates(Recipe(lr=1.0, schedule="cosine"), 8) == pytest.approx(expected)


def test_steps():
    recipe = Recipe(lr=1.0, step_size=2, gamma=0.5)
    assert rates(recipe, 5) == [1, 1, 0.5, 0.5, 0.25]
    assert learning_rate(recipe, 1.99, 5) == 1  # it changes between epochs alone


def test_weight_decay_spares_vectors_and_positions():
    params = {"depth": 1, "dim": 8, "heads": 2, "grid": 4, "layer_scale": 0.1}
    model = models.build("vit", params, image_size=8, num_classes=3)
    decayed, spared = optimizer(Recipe(weight_decay=0.1), model).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    names = {id(p): name for name, p in model.named_parameters()}
    of_spared = {names[id(p)] for p in spared["params"]}
    assert {"position", "class_token", "head.bias", "norm.weight"} <= of_spared
    assert "blocks.0.mix.3.gamma" in of_spared
    assert not any(name.endswith(".weight") and "mix.1" in name for name in of_spared)
    assert len(decayed["params"]) + len(spared["params"]) == len(names)


def test_without_weight_decay_it_is_adam():
    found = optimizer(Recipe(), nn.Linear(2, 2))
    assert type(found) is torch.optim.Adam
    assert len(found.param_groups) == 1


def test_frozen_weights_are_left_to_themselves():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[0].requires_grad_(False)
    for recipe in (Recipe(), Recipe(weight_decay=0.1), Recipe(optimizer="lamb")):
        groups = optimizer(recipe, model).param_groups
        assert {id(p) for group in groups for p in group["params"]} == {
            id(p) for p in model[1].parameters()
        }


def test_lamb_is_timms_and_clips():
    found = optimizer(Recipe.filled({"recipe": "deit3"}), nn.Linear(3, 2))
    assert isinstance(found, Lamb)
    decayed, spared = found.param_groups
    assert (decayed["eps"], decayed["max_grad_norm"], decayed["lr"]) == (1e-7, 1.0, 3e-4)
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.02, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight_decay": -0.1}, "weight_decay must be a number at least 0 and at most 1, given"),
        ({"lr": 0.0}, "lr must be a finite number above 0, given 0.0"),
        ({"schedule": "linear"}, "schedule must be one of step, cosine, given 'linear'"),
        ({"recipe": "deit"}, "recipe must be one of deit3, .*; did you mean 'deit3'?"),
    ],
)
def test_mistakes(change, message):
    (found,) = Recipe(**change).mistakes()
    assert re.match(message.replace("?", r"\?"), found)


def test_all_mistakes_of_a_trial_are_told_at_once():
    flat = {**TASK, **SIZES, "recipe": "deit", "cutmix": 2.0, "pretrain_epochs": -1}
    with pytest.raises(ValueError, match=r"recipe must.*; cutmix must.*; pretrain_epochs must"):
        TrialConfig.from_flat(flat)


def test_a_configuration_says_everything_and_can_be_read_back():
    config = TrialConfig.from_flat({**TASK, **SIZES, "recipe": "deit3", "pretrain_epochs": 2})
    assert TrialConfig.from_flat(config.flat()) == config
    assert config.pretraining == Pretraining(pretrain_epochs=2)
