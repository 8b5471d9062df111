"""What a model sees of a configuration; costly quantities are counted for few."""

import json
import random
from collections import Counter

import numpy as np
import pytest

from search.feasibility import Feasibility
from search.record import State
from search.samplers import Seen, Start, Task
from search.samplers.candidates import Candidates
from search.samplers.features import Features
from search.samplers.freeze_thaw import FreezeThaw
from search.simulation import simulate
from spaces.space import Choice, Integer, Real, Space

SPACE = Space(
    params={
        "dim": Integer(64, 512, step=64),
        "depth": Integer(2, 12),
        "heads": Choice((2, 4, 8)),
        "lr": Real(1e-4, 1e-1, log=True),
    }
)


class Counted:
    """A product of powers of sizes, as costs nearly are, which counts its calls."""

    def __init__(self):
        self.calls = Counter()

    def __call__(self, params):
        self.calls[tuple(sorted(params.items()))] += 1
        return 1e-6 * params["dim"] ** 2 * params["depth"] + 1e-9 * params["heads"]


def features(cost, *, costly, limit=None, counted=()):
    limits = {"cost": (cost, limit)} if limit else {}
    known = {} if limit else {"cost": cost}
    feasibility = Feasibility(SPACE, 224, limits)
    task = Task(
        feasibility=feasibility,
        learned=("y",),
        known=known,
        max_epochs=9,
        costly={"cost": 16} if costly else {},
    )
    return Features(task, Candidates(feasibility, (), "spread").fresh(200), counted)


def drawn(count, seed=5):
    rng = random.Random(seed)
    return [SPACE.draw(rng) for _ in range(count)]


def test_a_costly_product_of_powers_is_estimated_within_a_fifth():
    cost = Counted()
    found = features(cost, costly=True)
    assert cost.calls.total() == 16
    for params in drawn(20, seed=9):
        found.learn(params)
    wanted = np.array([Counted()(params) for params in drawn(300)])
    off = np.abs(found.quantity("cost", drawn(300)) / wanted - 1)
    assert np.median(off) < 0.05
    assert np.quantile(off, 0.9) < 0.2
    assert cost.calls.total() == 36, "those that were begun, and the first sixteen"


def test_what_was_begun_has_its_exact_value_and_is_counted_once():
    cost = Counted()
    found = features(cost, costly=True)
    begun = drawn(5, seed=9)
    for params in begun + begun:
        found.learn(params)
    assert found.quantity("cost", begun) == pytest.approx([Counted()(p) for p in begun], rel=1e-12)
    assert set(cost.calls.values()) == {1}


def test_what_was_counted_is_noted_and_need_not_be_counted_again():
    """A measured latency has another value the second time."""
    cost, again = Counted(), Counted()
    found = features(cost, costly=True)
    begun = drawn(5, seed=9)
    for params in begun:
        found.learn(params)
    noted = json.loads(json.dumps(found.news()))
    assert len(noted) == 21
    assert found.news() == []
    resumed = features(again, costly=True, counted=noted)
    assert not again.calls
    assert (resumed.quantity("cost", drawn(50)) == found.quantity("cost", drawn(50))).all()
    assert (resumed(drawn(50)) == found(drawn(50))).all()


def test_a_cheap_quantity_is_always_exact():
    found = features(Counted(), costly=False)
    wanted = [Counted()(params) for params in drawn(50)]
    assert found.quantity("cost", drawn(50)) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("costly", [True, False])
def test_what_is_kept_keeps_the_limit_as_far_as_is_known(costly):
    found = features(Counted(), costly=costly, limit=1.0)
    kept = found.within(drawn(200))
    wanted = [params for params in drawn(200) if Counted()(params) <= 1.0]
    wrong = [params for params in kept if params not in wanted]
    assert len(wrong) <= (0.1 * len(kept) if costly else 0)
    assert len(kept) >= 0.8 * len(wanted)


def test_a_quantity_has_a_column_on_a_scale_of_its_own():
    found = features(Counted(), costly=False)
    x = found(drawn(100))
    assert x.shape == (100, found.width) == (100, 5)
    assert np.isfinite(x).all()
    order = np.argsort([Counted()(params) for params in drawn(100)])
    assert (np.diff(x[order, -1]) >= 0).all()
    assert -0.2 < x[:, -1].min() < 0.3
    assert 0.7 < x[:, -1].max() < 1.2


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_a_constant_quantity_is_no_harm(value):
    for costly in (True, False):
        assert np.isfinite(features(lambda _: value, costly=costly)(drawn(10))).all()


def test_a_sweep_counts_exactly_only_what_it_begins():
    """Besides the sixteen that the estimates begin with, and the few that an estimate misjudged."""
    cost, begun = Counted(), set()
    feasibility = Feasibility(SPACE, 224, {"cost": (cost, 1.0)})
    task = Task(feasibility=feasibility, learned=("y",), max_epochs=9, costly={"cost": 16})
    sampler = FreezeThaw(task)
    seen = []
    for number in range(25):
        decision = sampler.ask(seen, number, start=True)
        assert isinstance(decision, Start)
        begun.add(tuple(sorted(decision.params.items())))
        curve = {9: (abs(decision.params["lr"] - 0.01),)}
        seen.append(Seen(number, decision.params, State.COMPLETE, curve))
    assert len(begun) == 25
    assert len(cost.calls.keys() - begun) <= 16 + 10
    assert all(Counted()(dict(params)) <= 1.0 for params in begun)


def test_nothing_to_count_is_no_harm():
    task = Task(
        feasibility=Feasibility(SPACE, 224, {"cost": (Counted(), 1.0)}),
        learned=("y",),
        max_epochs=9,
        costly={"cost": 16},
    )
    found = Features(task, [])
    assert found.within([]) == []
    assert found([]).shape == (0, found.width)


def test_costly_limits_are_kept_in_simulated_time():
    history = simulate(
        lambda params, epoch: {"y": params["lr"] / epoch},
        SPACE,
        directions={"y": "min"},
        max_epochs=9,
        budget_epochs=60,
        constraints={"cost": (Counted(), 0.5)},
    ).history
    assert all(Counted()(row.params) <= 0.5 for row in history)
