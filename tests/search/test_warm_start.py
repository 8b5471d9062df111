"""What earlier sweeps found best is tried first, and their curves are known to the model."""

import dataclasses
import random
import shutil

import pytest
from optuna.storages import InMemoryStorage

from search.opening import earlier_trials, study_of
from search.quantities import Quantities
from search.record import State
from search.request import parse
from search.sampling import create
from search.sweep_folder import SweepFolder
from search.warm_start import _NONE, keep, tried_first
from trainables.errors import BadRequestError
from trainables.home import Home


@pytest.fixture
def begun(whole_sweep):
    """A sweep that begins from `small`, its home and its study, which is new."""
    plan = dataclasses.replace(
        whole_sweep.plan, sweep="next", warm_start=("small",), settings={}, sampler="freeze-thaw"
    )
    plan = dataclasses.replace(plan, pruner=None)
    return plan, Home(whole_sweep.home), create("next", plan.directions, InMemoryStorage())


def complete(made):
    return [r for r in made.study().accepted if r.state == State.COMPLETE]


def test_the_best_of_an_earlier_sweep_in_this_space(begun, whole_sweep):
    plan, home, stored = begun
    (said,) = keep(stored, plan, home, None)
    assert said.startswith("small: its best 1 configurations are tried first, and 2 of its trials")
    found, (record,) = tried_first(stored), complete(whole_sweep)
    assert list(found) == [f"small/{record.key}"]
    (params,) = found.values()
    assert params.items() <= record.params.items()
    assert params.keys() <= plan.searched.params.keys()
    assert "dropout" not in params, "it is constant in both"


def test_what_lies_outside_the_space_is_left_out(begun, whole_sweep):
    plan, home, stored = begun
    (record,) = complete(whole_sweep)
    other = [4, 12][record.params["depth"] == 4]
    plan = dataclasses.replace(plan, settings={"depth": other})
    keep(stored, plan, home, None)
    (params,) = tried_first(stored).values()
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


def test_curves_end_where_trials_were_told_to(begun, whole_sweep):
    plan, home, stored = begun
    keep(stored, plan, home, None)
    (record,) = complete(whole_sweep)
    ended, stopped = earlier_trials(stored)
    assert ended.sweep == "small"
    assert ended.params.items() >= {"depth": record.params["depth"]}.items()
    assert not plan.searched.broken(ended.params, plan.image_size)
    told = whole_sweep.study().stored()[record.key].values[0]
    assert ended.curve[1.0] == (told,) != (record.curve[record.epoch][0],)
    assert list(stopped.curve) == [1 / 3]


def test_it_is_what_it_was_when_the_earlier_sweep_is_gone(begun, whole_sweep):
    plan, home, stored = begun
    keep(stored, plan, home, None)
    first, known = tried_first(stored), earlier_trials(stored)
    shutil.rmtree(whole_sweep.home / "small")
    assert keep(stored, plan, home, None) == []
    assert (tried_first(stored), earlier_trials(stored)) == (first, known)
    (home.path / "next").mkdir()
    plan.save(SweepFolder.of(home, "next").plan)
    words = ["linformer", "--home", str(home.path), "--name", "next", "--data", "digits"]
    assert parse([*words, "--resume", "--warm-start", "small"]).earlier == plan


def test_a_sweep_that_has_begun_without_goes_on_without(begun):
    plan, home, stored = begun
    stored.ask()
    assert keep(stored, plan, home, None) == []
    assert (tried_first(stored), earlier_trials(stored)) == ({}, ())


def test_curves_of_other_objectives_say_nothing(begun):
    plan, home, stored = begun
    (said,) = keep(stored, dataclasses.replace(plan, objectives=("valid_loss",)), home, None)
    assert said.endswith("0 of its trials are known to the search, as " + _NONE)
    assert earlier_trials(stored) == ()


def test_other_samplers_know_no_curves(begun):
    plan, home, stored = begun
    (said,) = keep(stored, dataclasses.replace(plan, sampler="tpe"), home, None)
    assert said == "small: its best 1 configurations are tried first"
    assert earlier_trials(stored) == ()


def test_there_is_room_for_so_many_points(begun, monkeypatch):
    plan, home, stored = begun
    monkeypatch.setattr("search.warm_start.POINTS", 2)
    twice = dataclasses.replace(plan, warm_start=("small", "small"))
    keep(stored, twice, home, None)
    (ended,) = earlier_trials(stored)
    assert len(ended.curve) == 2, "the other would be a third point"


def test_a_trial_that_no_model_looks_at_is_left_out(begun, whole_sweep):
    plan, home, stored = begun
    longer = dataclasses.replace(whole_sweep.plan, epochs=300)
    longer.save(SweepFolder.of(home, "small").plan)
    keep(stored, plan, home, None)
    assert [list(trial.curve) for trial in earlier_trials(stored)] == [[1.0]]


def test_the_sampler_knows_them(begun):
    plan, home, stored = begun
    keep(stored, plan, home, None)
    study = study_of(stored, plan, Quantities())
    (ended, _), (raw, _) = study._sampler._task.earlier, earlier_trials(stored)
    assert ended.curve[1.0] == (-raw.curve[1.0][0],), "small is good"
