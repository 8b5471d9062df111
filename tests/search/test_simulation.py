"""The search in simulated time: what a published benchmark of it rests on."""

import itertools
from collections import defaultdict

import pytest

from search import simulate
from spaces.rules import Divides
from spaces.space import Choice, Integer, Real, Space

SPACE = Space(
    params={"x": Real(-3, 3), "y": Real(-3, 3), "n": Integer(1, 4), "k": Choice((1, 2, 3))},
    fixed={"dropout": 0.1},
    rules=(Divides("k", "n"),),
)


def error(params, epoch):
    """Smallest, 0, at x = 1, y = -1, n = 4."""
    distance = (params["x"] - 1) ** 2 + (params["y"] + 1) ** 2 + 0.5 * (4 - params["n"])
    return {"error": distance + 1 / epoch}


def run(**changes):
    settings = {"directions": {"error": "min"}, "max_epochs": 9, "budget_epochs": 150}
    return simulate(error, SPACE, **(settings | changes)).history


def by_trial(history):
    trials = defaultdict(list)
    for row in history:
        trials[row.trial].append(row)
    return trials


@pytest.mark.slow
def test_rows_are_epochs_in_order_of_time():
    history = run()
    assert [row.time for row in history] == sorted(row.time for row in history)
    for rows in by_trial(history).values():
        assert [row.epoch for row in rows] == list(range(1, len(rows) + 1))
        assert len(rows) <= 9
        assert all(row.metrics == error(row.params, row.epoch) for row in rows)
        assert all(row.params == rows[0].params for row in rows)
        assert rows[0].params["n"] % rows[0].params["k"] == 0
        assert rows[0].params["dropout"] == 0.1


@pytest.mark.slow
@pytest.mark.parametrize("budget", [1, 37, 150])
def test_the_budget_is_spent_and_not_exceeded(budget):
    assert len(run(budget_epochs=budget)) == budget


def test_bad_trials_stay_paused_and_good_ones_go_on():
    lengths = [len(rows) for rows in by_trial(run()).values()]
    assert 9 in lengths
    assert lengths.count(1) > 4, "more than the budget's end cuts off"
    ended = [length for length in lengths if length not in (1, 3, 9)]
    assert len(ended) <= 4, "trials pause at rungs; the budget's end cuts off the four that run"


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_at_most_so_many_trials_at_a_time(workers):
    history = run(workers=workers)
    for _, rows in itertools.groupby(history, key=lambda row: row.time):
        assert len(list(rows)) <= workers
    assert history[-1].time == pytest.approx(150 / workers)


@pytest.mark.slow
def test_an_epoch_takes_its_cost():
    waited = 0
    for rows in by_trial(run(cost=lambda params: 0.5 * params["n"])).values():
        cost = 0.5 * rows[0].params["n"]
        for row, later in itertools.pairwise(rows):
            step = later.time - row.time
            if row.epoch in (1, 3):
                assert step >= cost - 1e-9, "it was paused in between"
                waited += step > cost + 1e-9
            else:
                assert step == pytest.approx(cost)
    assert waited


@pytest.mark.slow
def test_one_seed_one_history():
    assert run(seed=5) == run(seed=5)
    assert run(seed=5) != run(seed=6)


@pytest.mark.slow
def test_nothing_above_a_limit_is_trained():
    limit = {"size": (lambda params: abs(params["x"]) + params["n"], 3.0)}
    history = run(constraints=limit)
    assert len(history) == 150
    assert all(abs(row.params["x"]) + row.params["n"] <= 3.0 for row in history)


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "lengths"), [("tpe", {3}), ("freeze-thaw", {1, 3})])
def test_several_objectives(sampler, lengths):
    """Optuna's pruners know a single one."""
    history = simulate(
        lambda params, epoch: {**error(params, epoch), "size": float(params["n"])},
        SPACE,
        directions={"error": "min", "size": "min"},
        max_epochs=3,
        budget_epochs=60,
        workers=1,
        sampler=sampler,
    ).history
    assert len(history) == 60
    assert {len(rows) for rows in by_trial(history).values()} == lengths


def test_an_exhausted_space_ends_the_sweep():
    history = simulate(
        lambda params, epoch: {"score": params["n"] / epoch},
        Space(params={"n": Integer(1, 3)}),
        directions={"score": "max"},
        max_epochs=2,
        budget_epochs=100,
    ).history
    configurations = [rows[0].params["n"] for rows in by_trial(history).values()]
    assert sorted(configurations) == [1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_learns_from_its_first_trials(seed):
    best = [rows[-1].metrics["error"] for rows in by_trial(run(seed=seed)).values()]
    assert min(best[8:]) < min(best[:8])


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["freeze-thaw", "tpe", "random", "grid"])
@pytest.mark.parametrize("workers", [1, 4])
def test_every_paused_trial_goes_on_from_its_last_epoch(sampler, workers):
    for rows in by_trial(run(sampler=sampler, workers=workers)).values():
        assert [row.epoch for row in rows] == list(range(1, len(rows) + 1))


def test_names_that_there_are_not():
    with pytest.raises(ValueError, match="no sampler 'tpee'; did you mean 'tpe'"):
        run(sampler="tpee")
    with pytest.raises(ValueError, match="no pruner 'halvin'"):
        run(sampler="tpe", pruner="halvin")


def test_an_objective_that_is_known_is_not_asked_of_training():
    history = simulate(
        error,
        SPACE,
        directions={"error": "min", "size": "min"},
        known={"size": lambda params: float(params["n"])},
        max_epochs=9,
        budget_epochs=60,
    ).history
    assert len(history) == 60
    assert all("size" not in row.metrics for row in history)
