"""What earlier sweeps showed is known to the model, and another sweep's scale does not matter."""

import numpy as np
import pytest

from search.feasibility import Feasibility
from search.record import State
from search.samplers import Earlier, Seen, Task
from search.samplers.background import background
from search.samplers.curve_model import fit
from search.samplers.features import Features
from search.samplers.freeze_thaw import FreezeThaw
from search.samplers.posterior import LARGEST
from spaces.space import Real, Space

SPACE = Space(params={"x": Real(0, 1), "z": Real(0, 1)})
OBJECTIVE = ("y",)


def error(params):
    return (params["x"] - 0.7) ** 2 + 0.1 * (params["z"] - 0.2) ** 2


def sweep(name, scale=1.0, shift=0.0, count=25):
    """Complete trials of a grid."""
    found = []
    for i in range(count):
        params = {"x": (i % 5) / 4, "z": (i // 5) / 4}
        end = scale * error(params) + shift
        curve = {1 / 9: (end + scale,), 1 / 3: (end + scale / 2,), 1.0: (end,)}
        found.append(Earlier(name, params, curve))
    return found


def task(earlier=()):
    return Task(
        feasibility=Feasibility(SPACE, 1, {}),
        learned=OBJECTIVE,
        max_epochs=9,
        earlier=tuple(earlier),
    )


def encode(configurations):
    return Features(task(), [{"x": 0.5, "z": 0.5}])(configurations)


def test_without_earlier_sweeps_there_is_nothing():
    nothing = background([], encode, 1, 3.0)
    assert (len(nothing), nothing.sweeps, nothing.values.shape) == (0, 0, (0, 1))
    assert nothing.scale.tolist() == [0.0]
    x = np.array([[0.1, 0.2]])
    assert np.array_equal(nothing.beside(x), x)


def test_each_sweep_has_a_column_and_its_own_scale():
    found = background([*sweep("a"), *sweep("b", scale=100.0, shift=7.0)], encode, 1, 3.0)
    a, b = found.points.x[:, -2] == 1, found.points.x[:, -1] == 1
    assert a.sum() == b.sum() == 75
    assert not (a & b).any()
    assert found.values[a] == pytest.approx(found.values[b])
    ends = found.values[a & (found.points.t == 1)]
    assert (ends.mean(), ends.std()) == pytest.approx((0, 1), abs=1e-6)
    assert found.beside(np.zeros((1, 2))).tolist() == [[0, 0, 0, 0]]


def test_a_trial_without_a_point_is_none():
    empty = Earlier("b", {"x": 0.5, "z": 0.5}, {})
    found = background([empty, *sweep("a")], encode, 1, 3.0)
    assert (found.trials, found.sweeps) == (25, 1)
    assert len(background([empty], encode, 1, 3.0)) == 0


def test_points_of_a_trial_are_those_of_no_other():
    found = background([*sweep("a"), *sweep("b")], encode, 1, 3.0)
    counts = np.unique(found.points.trial, return_counts=True)[1]
    assert counts.tolist() == [3] * 50
    assert found.points.trial.max() < -1


def test_few_earlier_trials_leave_the_beginning_as_it_is():
    sampler = FreezeThaw(task(sweep("a", count=2)))
    one = Seen(0, {"x": 0.1, "z": 0.9}, State.PAUSED, {1: (0.5,)})
    assert sampler.ask([one], 1, start=True).why["because"] == "far from all before it"


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (20.0, 5.0)])
def test_what_was_good_there_is_tried_here(scale, shift):
    """After two own trials, far from the best, the next ones are near it."""
    sampler = FreezeThaw(task(sweep("a", scale, shift)))
    places = ({"x": 0.1, "z": 0.9}, {"x": 0.2, "z": 0.5})
    seen = [
        Seen(n, p, State.COMPLETE, {e: (error(p) + 1 / e,) for e in range(1, 10)})
        for n, p in enumerate(places)
    ]
    decision = sampler.ask(seen, 2, start=True)
    assert decision.params["x"] == pytest.approx(0.7, abs=0.1)
    assert decision.why["deviation"][0] > 0.001, "it is as sure as the earlier sweep lets it"
    alone = FreezeThaw(task()).ask(seen, 2, start=True)
    assert alone.why["because"] == "far from all before it"


def test_the_size_of_the_model_stays_bounded(monkeypatch):
    sizes = []

    def fitted(points, values):
        sizes.append(len(points))
        return fit(points, values)

    monkeypatch.setattr("search.samplers.posterior.fit", fitted)
    sampler = FreezeThaw(task([t for name in "ab" for t in sweep(name, count=13)]))
    seen = [
        Seen(n, {"x": n / 150, "z": 0.5}, State.STOPPED, {1: (n / 150 + 1,), 3: (n / 150,)})
        for n in range(150)
    ]
    assert sampler.ask(seen, 150, start=True).why["points"] == 300, "of all trials"
    (size,) = sizes
    assert 78 < size <= LARGEST
