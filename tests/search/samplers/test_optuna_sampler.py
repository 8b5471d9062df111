"""Optuna's samplers and pruners through our contract, each in a small space with rules."""

import itertools
import json
import math
from importlib.util import find_spec

import pytest

from search import simulate
from search.feasibility import Feasibility
from search.record import State
from search.samplers import Resume, Seen, Start, Task, Verdict
from search.samplers.loading import load, mistakes
from search.samplers.optuna_sampler import PRUNERS, SAMPLERS, OptunaSampler
from spaces.rules import AtMost, Divides
from spaces.space import Choice, Integer, Real, Space

SPACE = Space(
    params={
        "dim": Integer(8, 64, step=8),
        "heads": Choice((1, 2, 3, 4)),
        "depth": Integer(1, 12),
        "lr": Real(1e-5, 1e-1, log=True),
        "kind": Choice(("a", "b")),
    },
    fixed={"dropout": 0.1},
    rules=(Divides("heads", "dim"), AtMost("depth", "dim")),
)
LIMITS = {"cost": (lambda params: float(params["dim"] * params["depth"]), 300.0)}
PATHS = ["optuna.samplers:RandomSampler", "optuna.samplers.TPESampler"]
PATHS += ["optuna.samplers.NSGAIISampler"]


def task(**more):
    limits = more.pop("limits", LIMITS)
    settings = {"learned": ("y",), "max_epochs": 9} | more
    return Task(feasibility=Feasibility(SPACE, 224, limits), **settings)


def value(params, epoch):
    return abs(params["depth"] - 5) + abs(math.log10(params["lr"]) + 3) + 1 / epoch


def lived(sampler, seen, whys, count, first=0):
    """So many more decisions, of which each trial is trained at once."""
    for number in range(first, first + count):
        decision = sampler.ask(seen, number, start=True)
        assert isinstance(decision, Start)
        whys.append(decision.why)
        params = decision.params
        curve = {epoch: (value(params, epoch),) for epoch in range(1, 10)}
        seen.append(Seen(len(seen), params, State.COMPLETE, curve))
    return [trial.params for trial in seen]


NAMES = [*SAMPLERS, "grid"]
if find_spec("cmaes") is None:
    NAMES.remove("cmaes")
NAMES[NAMES.index("gp")] = pytest.param("gp", marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [*NAMES, *PATHS])
def test_every_sampler_keeps_rules_and_limits_and_repeats_nothing(name):
    found = lived(load(name, task(), "none"), [], [], 15)
    assert len({str(params) for params in found}) == 15
    for params in found:
        assert params.keys() == {*SPACE.params, *SPACE.fixed}
        assert task().feasibility.holds(params)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_sweep_is_suggested_what_an_unbroken_one_is(name):
    """With what was refused, and what the sampler left with its trials, behind it."""
    # it begins with the tenth, and takes seconds for each
    trials, cuts = (15, (1, 9, 12)) if name == "gp" else (24, (1, 9, 17, 23))
    expected = lived(load(name, task(), "none"), [], [], trials)
    for cut in cuts:
        seen, whys = [], []
        lived(load(name, task(), "none"), seen, whys, cut)
        resumed = load(name, task(), "none")
        for why in whys:
            resumed.restore(json.loads(json.dumps(why)))
        assert lived(resumed, seen, [], trials - cut, first=cut) == expected, f"cut after {cut}"


def test_what_is_refused_is_told_with_what_it_breaks():
    sampler = OptunaSampler(task(), "tpe", "none")
    whys = []
    lived(sampler, [], whys, 10)
    refused = list(itertools.chain.from_iterable(why["refused"] for why in whys))
    assert refused
    for params, noted in refused:
        broken = task().feasibility.excesses(params)
        excess = [value for name, value in noted.items() if name.startswith("constraints:")]
        assert max(excess) == max(value for value, _ in broken.values()) > 0


@pytest.mark.parametrize("name", ["tpe", "qmc", "random", "grid"])
def test_where_one_in_a_hundred_keeps_a_limit_something_is_found(name):
    limits = {"lr": (lambda params: params["lr"], 10**-4.96)}
    found = lived(load(name, task(limits=limits), "none"), [], [], 5)
    assert all(params["lr"] <= 10**-4.96 for params in found)


@pytest.mark.slow
@pytest.mark.parametrize("pruner", [*PRUNERS, "pause-halving", "none"])
def test_every_pruner_judges(pruner):
    lengths = {}
    history = simulate(
        lambda params, epoch: {"y": value(params, epoch)},
        SPACE,
        directions={"y": "min"},
        max_epochs=9,
        budget_epochs=150,
        sampler="random",
        pruner=pruner,
    ).history
    for row in history:
        lengths[row.trial] = row.epoch
    assert len(history) == 150
    short = [length for length in lengths.values() if length < 9]
    assert 9 in lengths.values()
    if pruner == "none":
        assert len(short) <= 4, "only what the budget's end cuts off"
    elif pruner == "pause-halving":
        assert set(short) >= {1, 3}
    elif pruner != "wilcoxon":
        assert len(short) > 4


@pytest.mark.parametrize("pruner", ["halving", "hyperband", "median"])
def test_a_resumed_sweep_is_judged_as_an_unbroken_one(pruner):
    """Rungs are kept by Optuna in the trials; a fresh sampler finds them again from the curves."""

    def judged(fresh_each_time):
        sampler, seen, verdicts = OptunaSampler(task(), "random", pruner), [], []
        for number in range(14):
            trial = Seen(number, SPACE.fixed | POINT | {"depth": 1 + number % 12}, State.RUNNING)
            seen.append(trial)
            for epoch in range(1, 10):
                trial.curve[epoch] = ((number * 7) % 5 + 1 / epoch,)
                if fresh_each_time:
                    sampler = OptunaSampler(task(), "random", pruner)
                if epoch < 9 and sampler.judge(trial, seen) == Verdict.STOP:
                    trial.state = State.STOPPED
                    break
            else:
                trial.state = State.COMPLETE
            verdicts.append(trial.epoch)
        return verdicts

    found = judged(fresh_each_time=False)
    assert len(set(found)) > 1
    assert judged(fresh_each_time=True) == found


POINT = {"dim": 16, "heads": 2, "depth": 3, "lr": 1e-3, "kind": "a"}


def paused(number, epoch, worth):
    curve = dict.fromkeys(range(1, epoch + 1), (worth,))
    return Seen(number, SPACE.fixed | POINT, State.PAUSED, curve)


def test_half_of_those_at_a_rung_go_on_the_best_first_and_the_highest_rung_first():
    sampler = OptunaSampler(task(), "random")
    seen = [paused(n, 1, worth) for n, worth in enumerate((4.0, 1.0, 3.0, 2.0))]
    order = []
    while isinstance(decision := sampler.ask(seen, 9, start=True), Resume):
        order.append(decision.number)
        seen[decision.number].state = State.RUNNING
    assert order == [1, 3]
    for number in order:
        seen[number] = paused(number, 3, seen[number].curve[1][0])
    assert sampler.ask(seen, 9, start=True).number == 1, "the higher rung first"


def test_several_objectives_are_not_pruned():
    for pruner in (*PRUNERS, "pause-halving"):
        with pytest.raises(ValueError, match="works for a single objective"):
            OptunaSampler(task(learned=("y", "z")), "tpe", pruner)
    trial = Seen(0, SPACE.fixed | POINT, State.RUNNING, {1: (1.0, 2.0)})
    assert OptunaSampler(task(learned=("y", "z")), "tpe").judge(trial, [trial]) == Verdict.GO_ON


@pytest.mark.parametrize(
    ("name", "pruner", "said"),
    [
        ("freezethaw", None, "no sampler 'freezethaw'; did you mean 'freeze-thaw'?"),
        ("nsga", None, "did you mean 'nsga2'?"),
        ("zzz", None, "there are freeze-thaw, grid, tpe, random, qmc, gp, cmaes, nsga2"),
        ("optuna.samplers.Nothing", None, "no sampler 'optuna.samplers.Nothing'"),
        ("no_such_module:Sampler", None, "No module named 'no_such_module'"),
        ("tpe", "hyperbnd", "no pruner 'hyperbnd'; did you mean 'hyperband'?"),
        ("freeze-thaw", "median", "freeze-thaw pauses by itself"),
    ],
)
def test_names_that_there_are_not(name, pruner, said):
    (found,) = mistakes(name, pruner)
    assert said in found


def test_a_sampler_whose_package_is_missing_is_a_mistake():
    missing = find_spec("cmaes") is None
    said = ["the sampler 'cmaes' needs a package: pip install cmaes"]
    assert mistakes("cmaes", None) == (said if missing else [])


def test_names_that_there_are():
    names = ["freeze-thaw", "grid", *(SAMPLERS.keys() - {"cmaes"}), *PATHS]
    assert [mistakes(name, None) for name in names] == [[]] * len(names)
    assert [mistakes("tpe", name) for name in (*PRUNERS, "none", "pause-halving")] == [[]] * 6
