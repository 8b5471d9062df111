"""Samplers on a space whose parameters do not always have an effect."""

import random

import pytest

from search.enumeration import untried
from search.feasibility import Feasibility
from search.record import ACCEPTED, State, config_hash
from search.samplers.candidates import Candidates, identity_of
from search.sampling import create
from search.study import SweepStudy
from spaces.conditions import In, NotIn
from spaces.space import Choice, Real, Space

SPACE = Space(
    params={
        "lr": Real(1e-4, 1e-2, log=True),
        "schedule": Choice(("step", "cosine")),
        "gamma": Choice((0.1, 0.5, 1.0)),
        "step_size": Choice((1, 2, 3)),
    },
    fixed={"dropout": 0.1},
    conditions={
        "gamma": (In("schedule", ("step",)),),
        "step_size": (In("schedule", ("step",)), NotIn("gamma", (1.0,))),
    },
)
TINY = SPACE.fix({"lr": 1e-3})  # 1 + 1 + 2 * 3 configurations
SAMPLERS = ["freeze-thaw", "tpe", "random", "grid", "qmc", "gp", "nsga2"]


def opened(stored, space, sampler, trials):
    return SweepStudy(
        stored, space, directions={"loss": "min"}, max_epochs=1, trials=trials, sampler=sampler
    )


def train(study):
    while (record := study.next()) is not None:
        metrics = {"loss": len(record.params) + record.params.get("gamma", 0.0)}
        study.report(record.key, 1, metrics)
        study.finish(record.key, State.COMPLETE, metrics=metrics)


def stored():
    return create("small", {"loss": "min"}, None)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_finite_space_is_tried_to_its_end_and_nothing_twice(sampler):
    study = opened(stored(), TINY, sampler, 50)
    train(study)
    assert study.exhausted
    tried = [record.params for record in study.accepted]
    assert len(tried) == TINY.size == 8
    assert len({config_hash(TINY.effective(params)) for params in tried}) == 8
    assert all(params == TINY.effective(params) for params in tried)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_sweep_that_goes_on_suggests_what_an_unbroken_one_does(sampler):
    whole, broken = stored(), stored()
    train(opened(whole, SPACE, sampler, 14))
    train(opened(broken, SPACE, sampler, 11))
    resumed = opened(broken, SPACE, sampler, 14)
    train(resumed)
    unbroken = opened(whole, SPACE, sampler, 14)
    assert [r.params for r in resumed.accepted] == [r.params for r in unbroken.accepted]
    for trial, record in zip(broken.trials, resumed.accepted, strict=True):
        assert {**SPACE.fixed, **trial.params} == record.params


@pytest.mark.parametrize("sampler", ["tpe", "freeze-thaw"])
def test_what_an_earlier_version_trained_is_not_trained_again(sampler):
    """It drew everything; its trials keep their keys."""
    study = stored()
    params = {**TINY.fixed, "schedule": "cosine", "gamma": 0.5, "step_size": 2}
    key = f"00000-{config_hash(params)[:8]}"
    trial = study.ask(opened(stored(), TINY, "random", 1)._sampler._asked.distributions)
    for name, value in {"params": params, ACCEPTED: True, "trial_key": key}.items():
        trial.set_user_attr(name, value)
    for name, value in {"state": "complete", "values": [1.0]}.items():
        trial.set_user_attr(name, value)
    trial.report(1.0, 1)
    study.tell(trial, 1.0)
    later = opened(study, TINY, sampler, 50)
    later.enqueue({"a table": {"schedule": "cosine", "step_size": 3}})
    train(later)
    assert later.accepted[0].key == key
    assert later.accepted[0].params == params
    others = [record.params for record in later.accepted[1:]]
    assert len(others) == 7
    assert all(other["schedule"] == "step" for other in others)
    assert not any(record.published for record in later.accepted)


def test_a_published_point_is_the_same_with_and_without_what_has_no_effect():
    study = opened(stored(), SPACE, "random", 1)
    point = {"lr": 1e-3, "schedule": "cosine"}
    study.enqueue({"with": point | {"gamma": 0.1, "step_size": 3}, "without": point})
    first = study.next()
    assert first.params == {"dropout": 0.1, **point}
    study.trials = 2
    assert study.next().published == ""


def test_moves_change_something_and_draw_what_gets_an_effect():
    pool = Candidates(Feasibility(SPACE, 56), (), "seed")
    centre = {"dropout": 0.1, "lr": 1e-3, "schedule": "cosine"}
    moved = pool.near([centre], 200, 0.1)
    assert len({identity_of(SPACE, params) for params in moved}) == len(moved)
    assert all(params == SPACE.effective(params, random.Random(0)) for params in moved)
    kinds = {tuple(sorted(params)) for params in moved}
    assert len(kinds) == 3


def test_every_effective_configuration_is_enumerated_once():
    found = [tuple(sorted(p.items())) for p in untried(Feasibility(TINY, 56), (), 0)]
    assert len(found) == len(set(found)) == 8
