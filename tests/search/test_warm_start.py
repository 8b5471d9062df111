"""What earlier sweeps found best is tried first, and their curves are known to the model."""

import dataclasses
import random
import shutil

import pytest
from optuna.storages import InMemoryStorage

from search.opening import recall, study_of
from search.quantities import Quantities
from search.record import State
from search.request import parse
from search.sampling import create
from search.warm_start import _POINTS, BEST, found_best, keep
from trainables.errors import BadRequestError
from trainables.home import Home


def test_the_best_of_an_earlier_sweep_in_this_space(whole_sweep):
    home = Home(whole_sweep.home)
    plan = dataclasses.replace(whole_sweep.plan, sweep="next", warm_start=("small",), settings={})
    found = found_best(plan, home, None)
    complete = [r for r in whole_sweep.study().accepted if r.state == State.COMPLETE]
    assert list(found) == [f"small/{record.key}" for record in complete][:BEST]
    (params,) = found.values()
    assert params.items() <= complete[0].params.items()
    assert params.keys() <= plan.searched.params.keys()
    assert "dropout" not in params, "it is constant in both"


def test_what_lies_outside_the_space_is_left_out(whole_sweep):
    record = next(r for r in whole_sweep.study().accepted if r.state == State.COMPLETE)
    depth = record.params["depth"]
    other = [4, 12][depth == 4]
    plan = dataclasses.replace(whole_sweep.plan, sweep="next", warm_start=("small",))
    plan = dataclasses.replace(plan, settings={"depth": other})
    (params,) = found_best(plan, Home(whole_sweep.home), None).values()
    assert "depth" not in params
    assert params


def test_they_are_tried_first(empty_sweep):
    study = empty_sweep.study()
    drawn = (empty_sweep.plan.searched.draw(random.Random(seed)) for seed in range(99))
    params = next(filter(study.feasibility.holds, drawn))
    study.enqueue({"small/1": params, "table": {"depth": 4}}, 1)
    first = study.next()
    assert (first.published, first.params) == ("small/1", params)


def test_an_unknown_sweep_is_a_mistake(whole_sweep):
    words = ["linformer", "--home", str(whole_sweep.home), "--name", "next", "--warm-start"]
    with pytest.raises(BadRequestError, match="no sweep 'smal'; did you mean 'small'"):
        parse([*words, "smal"])
    assert parse([*words, "small"]).warm_start == ("small",)


@pytest.fixture
def begun(whole_sweep):
    """A sweep that begins from `small`, its home and its study, which is new."""
    plan = dataclasses.replace(whole_sweep.plan, sweep="next", warm_start=("small",), settings={})
    return plan, Home(whole_sweep.home), create("next", plan.directions, InMemoryStorage())


def test_curves_of_an_earlier_sweep_are_kept_in_the_study(begun, whole_sweep):
    plan, home, stored = begun
    assert keep(stored, plan, home, None) == "2 trials of small"
    complete, stopped = recall(stored)
    records = {record.state: record for record in whole_sweep.study().accepted}
    record = records[State.COMPLETE]
    assert complete.sweep == "small"
    assert complete.params.items() >= {"depth": record.params["depth"]}.items()
    assert not plan.searched.broken(complete.params, plan.image_size)
    assert complete.curve[1.0] == (record.curve[record.epoch][0],)
    assert list(stopped.curve) == [1 / 3]
    shutil.rmtree(whole_sweep.home)
    assert keep(stored, plan, home, None) == "", "it is what it was when the other is gone"
    assert recall(stored) == (complete, stopped)


def test_a_sweep_that_has_begun_without_goes_on_without(begun):
    plan, home, stored = begun
    stored.ask()
    assert keep(stored, plan, home, None) == ""
    assert recall(stored) == ()


def test_a_sweep_with_other_objectives_says_nothing(begun):
    plan, home, stored = begun
    other = dataclasses.replace(plan, objectives=("valid_loss",))
    assert keep(stored, other, home, None) == "0 trials of small"


def test_the_sampler_knows_them(begun):
    plan, home, stored = begun
    keep(stored, plan, home, None)
    plan = dataclasses.replace(plan, sampler="freeze-thaw", pruner=None)
    study = study_of(stored, plan, Quantities())
    task = study._sampler._task
    (complete, _), (raw, _) = task.earlier, recall(stored)
    assert complete.curve[1.0] == (-raw.curve[1.0][0],), "small is good"
    assert study.next().decisions[0]["why"]["because"] == "far from all before it"
    assert sum(len(trial.curve) for trial in task.earlier) <= _POINTS
