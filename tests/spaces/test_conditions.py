"""What has no effect is no part of a configuration, and no model or schedule notices it."""

import random

import pytest
import torch

import spaces
from spaces.conditions import AnyOf, In, NotIn
from spaces.space import Choice, Integer, Real, Space
from spaces.wttf import TRAINING_CONDITIONS
from trainables import models
from trainables.recipe import Recipe
from trainables.training.learning_rate import learning_rate

SPACE = Space(
    params={
        "step_size": Choice((1, 2, 3)),
        "gamma": Choice((0.1, 0.5, 1.0)),
        "schedule": Choice(("step", "cosine")),
        "depth": Integer(0, 4),
        "heads": Choice((1, 2)),
    },
    fixed={"dropout": 0.1},
    conditions={
        "step_size": (In("schedule", ("step",)), NotIn("gamma", (1.0,))),
        "gamma": (In("schedule", ("step",)),),
        "heads": (NotIn("depth", (0, 2)),),
    },
)
# cosine; step with gamma 1; step with two others and three step sizes; of depths two lack heads
SIZE = (1 + 1 + 2 * 3) * (2 + 3 * 2)
MODEL = {"grid": 8, "depth": 2, "dim": 32, "heads": 2}


def test_draws_lack_what_has_no_effect():
    rng = random.Random(0)
    for _ in range(200):
        drawn = SPACE.draw(rng)
        assert drawn == SPACE.effective(drawn)
        assert ("gamma" in drawn) == (drawn["schedule"] == "step")
        assert ("step_size" in drawn) == (drawn.get("gamma", 1.0) != 1.0)
        assert ("heads" in drawn) == (drawn["depth"] not in (0, 2))
        assert drawn["dropout"] == 0.1


def test_the_size_is_that_of_effective_configurations():
    rng = random.Random(0)
    found = {tuple(sorted(SPACE.draw(rng).items())) for _ in range(5000)}
    assert len(found) == SPACE.size == SIZE


@pytest.mark.parametrize(
    ("settings", "size"),
    [
        ({"schedule": "cosine"}, 8),
        ({"schedule": "step"}, (1 + 2 * 3) * 8),
        ({"gamma": 1.0}, 2 * 8),
        ({"depth": 0}, 8),
        ({"step_size": 1}, (1 + 3) * 8),
    ],
)
def test_a_fixed_parent_decides(settings, size):
    assert SPACE.fix(settings).size == size


def test_a_real_parent_is_split_at_single_values():
    params = {"rate": Real(0.0, 1.0), "stages": Integer(1, 4)}
    space = Space(params=params, conditions={"stages": (NotIn("rate", (1.0,)),)})
    assert space.effective({"rate": 1.0, "stages": 2}) == {"rate": 1.0}
    assert space.size == float("inf")
    assert [branch.keys() for branch in space.branches] == [{"rate"}, {"rate", "stages"}]


def test_one_of_several_conditions_is_enough():
    condition = AnyOf((NotIn("a", (1,)), NotIn("b", (1,))))
    params = {name: Choice((1, 2)) for name in "abc"}
    space = Space(params=params, conditions={"c": (condition,)})
    assert space.size == 3 * 2 + 1
    assert str(condition) == "a is not 1 or b is not 1"
    assert "c" not in space.effective({"a": 1, "b": 1, "c": 1})


def test_parents_that_the_space_does_not_have_are_not_asked():
    space = Space(params={"gamma": Choice((0.1, 1.0))}, conditions=TRAINING_CONDITIONS)
    assert space.conditional == {}
    assert space.effective({"gamma": 0.1}) == {"gamma": 0.1}


def test_conditions_in_a_circle_are_refused():
    params = {"a": Choice((1, 2)), "b": Choice((1, 2))}
    with pytest.raises(ValueError, match=r"in a circle: . on . on ."):
        Space(params=params, conditions={"a": (In("b", (1,)),), "b": (In("a", (1,)),)})


def test_values_without_effect_are_not_judged():
    assert SPACE.outside({"schedule": "cosine", "depth": 0, "gamma": 7, "heads": 9}) == []
    wrong = SPACE.outside({"schedule": "step", "depth": 1, "gamma": 7})
    assert wrong == [
        "gamma=7 is not one of 0.1, 0.5, 1.0",
        "step_size is missing",
        "heads is missing",
    ]


@pytest.mark.parametrize("name", spaces.names())
def test_every_space_knows_when_training_has_an_effect(name):
    space = spaces.load(name)
    assert {n: space.conditions[n] for n in TRAINING_CONDITIONS} == TRAINING_CONDITIONS
    assert {"gamma", "step_size"} <= space.conditional.keys()


@pytest.mark.parametrize(
    ("given", "name", "values"),
    [
        ({"schedule": "cosine"}, "gamma", (0.1, 0.9)),
        ({"schedule": "cosine"}, "step_size", (1, 5)),
        ({"schedule": "step", "gamma": 1.0}, "step_size", (1, 5)),
        ({"schedule": "step"}, "min_lr", (0.0, 1e-4)),
        ({"schedule": "step"}, "warmup_share", (0.0, 0.5)),
        ({"schedule": "step"}, "warmup_lr", (0.0, 1e-4)),
        ({"schedule": "cosine", "warmup_share": 0.0}, "warmup_lr", (0.0, 1e-4)),
    ],
)
def test_the_schedule_does_not_notice(given, name, values):
    conditions = TRAINING_CONDITIONS[name]
    assert not all(c.holds({"schedule": "step", "gamma": 0.5, **given}) for c in conditions)
    one, other = (
        [learning_rate(Recipe(**given, **{name: value}), e / 4, 10) for e in range(40)]
        for value in values
    )
    assert one == other


@pytest.mark.parametrize(
    ("name", "given", "values"),
    [
        ("evit", {"keep_rate": 1.0}, {"stages": 3, "fuse": True, "shrink_start": 0.2}),
        ("evit", {"keep_rate": 1.0}, {"shrink_share": 0.7}),
        ("gtp", {"alpha": 0.0, "propagated": 4}, {"neighbours": 0}),
        ("sinkhorn", {"bucket_max": 64, "class_depth": 1}, {"iterations": 1, "temperature": 2.0}),
        ("efficientmod", {"attention_depth": 0, "dim": 8, "depth": 1}, {"heads": 1}),
    ],
)
def test_the_model_does_not_notice(name, given, values):
    space = spaces.load(name)
    shell = {} if name == "efficientmod" else MODEL
    params = {**shell, **space.fixed, **given}
    assert space.effective({**params, **values}) == params

    def trained(chosen):
        torch.manual_seed(0)
        model = models.build(name, chosen, image_size=64, num_classes=3)
        images = torch.rand(2, 3, 64, 64)
        model.train()(images).sum().backward()
        return [p.grad for p in model.parameters()], model.eval()(images)

    one, other = trained(params), trained({**params, **values})
    torch.testing.assert_close(one, other, rtol=0, atol=0)
