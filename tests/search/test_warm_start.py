"""What earlier sweeps found best is tried first."""

import dataclasses
import random

import pytest

from search.record import State
from search.request import parse
from search.warm_start import BEST, found_best
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
