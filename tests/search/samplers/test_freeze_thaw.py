"""The default sampler in spaces, with curves and failures of every kind."""

import itertools
import math

import pytest

from search import simulate
from search.feasibility import Feasibility
from search.record import State
from search.samplers import QUOTA, Resume, Seen, Start, Task, Verdict, rungs, usual_epochs
from search.samplers.freeze_thaw import FreezeThaw
from spaces.rules import AtMost
from spaces.space import Choice, Integer, Real, Space

SPACE = Space(
    params={"x": Real(0, 1), "n": Integer(1, 8), "k": Choice(("a", "b", "c"))},
    fixed={"c": 1},
    rules=(AtMost("c", "n"),),
)


def task(space=SPACE, **more):
    settings = {"learned": ("y",), "max_epochs": 27} | more
    limits = settings.pop("limits", {})
    return Task(feasibility=Feasibility(space, 1, limits), **settings)


def value(params, epoch=27):
    """Small is good; it falls towards an end that is best at x = 0.3, n = 8, k = b."""
    end = (params["x"] - 0.3) ** 2 + (8 - params["n"]) / 20 + 0.1 * (params["k"] != "b")
    return end + 1 / epoch


def trial(number, params, epochs, state=State.PAUSED, *, made=value, width=1):
    curve = {epoch: (made(params, epoch),) * width for epoch in range(1, epochs + 1)}
    return Seen(number, params, state, curve)


def begun(sampler, count, epochs, state=State.PAUSED, **more):
    seen = []
    for number in range(count):
        decision = sampler.ask(seen, number, start=True)
        assert isinstance(decision, Start)
        seen.append(trial(number, decision.params, epochs, state, **more))
    return seen


def run(space=SPACE, **changes):
    settings = {"directions": {"y": "min"}, "max_epochs": 9, "budget_epochs": 80}
    settings |= {"sampler": "freeze-thaw"} | changes
    made = settings.pop("objective", lambda params, epoch: {"y": value(params, epoch)})
    return simulate(made, space, **settings).history


@pytest.mark.parametrize(
    ("epochs", "wanted"),
    [(1, []), (2, [1]), (3, [1]), (9, [1, 3]), (27, [3, 9]), (200, [22, 67])],
)
def test_trials_pause_after_a_ninth_and_a_third(epochs, wanted):
    assert rungs(epochs) == wanted
    sampler = FreezeThaw(task(max_epochs=epochs))
    params = {"x": 0.5, "n": 1, "k": "a", "c": 1}
    for epoch in range(1, epochs):
        verdict = sampler.judge(trial(0, params, epoch, State.RUNNING), [])
        assert verdict == (Verdict.PAUSE if epoch in wanted else Verdict.GO_ON)


def test_the_first_are_far_from_each_other():
    seen = begun(FreezeThaw(task()), 6, 3)
    assert {t.params["k"] for t in seen} == {"a", "b", "c"}
    xs = sorted(t.params["x"] for t in seen)
    assert xs[-1] - xs[0] > 0.5


def test_the_better_part_goes_on_and_why_is_said():
    sampler = FreezeThaw(task())
    seen = begun(sampler, 6, 3)
    promoted = set()
    for number in range(6, 6 + int(QUOTA * 6)):
        decision = sampler.ask(seen, number, start=True)
        assert isinstance(decision, Resume)
        assert decision.why["because"] == "quota"
        assert decision.why["compared"] == 6 - len(promoted)
        assert math.isfinite(decision.why["expected"][0])
        assert decision.why["deviation"][0] > 0
        assert decision.why["gain"] >= 0
        seen[decision.number].state = State.RUNNING
        promoted.add(decision.number)
    best = sorted(seen, key=lambda t: t.curve[3])[:2]
    assert promoted & {t.number for t in best}
    assert sampler.ask(seen, 12, start=False) is None, "enough of them are on their way"
    decision = sampler.ask(seen, 12, start=True)
    assert isinstance(decision, Start) or decision.why["because"] != "quota"


def test_without_room_for_new_ones_only_paused_ones_go_on():
    sampler = FreezeThaw(task())
    assert sampler.ask([], 0, start=False) is None
    seen = begun(sampler, 2, 3)
    assert isinstance(sampler.ask(seen, 2, start=False), Resume)
    seen = [Seen(0, seen[0].params, State.RUNNING)]
    assert sampler.ask(seen, 2, start=False) is None, "it has no curve yet"


def test_decisions_follow_from_what_is_known():
    """A fresh sampler that was told of the fits decides as one that lived through all of them."""
    lived, whys, seen = FreezeThaw(task(seed=4)), [], []
    for number in range(25):
        fresh = FreezeThaw(task(seed=4))
        for why in whys:
            fresh.restore(why)
        decision = lived.ask(seen, number, start=True)
        assert fresh.ask(seen, number, start=True) == decision
        whys.append(decision.why)
        if isinstance(decision, Start):
            seen.append(trial(len(seen), decision.params, 3))
        else:
            at = seen[decision.number]
            ended = at.epoch == 9
            state = State.COMPLETE if ended else State.PAUSED
            seen[decision.number] = trial(at.number, at.params, 27 if ended else 9, state)
    assert any("thetas" in why for why in whys)
    assert not all("thetas" in why for why in whys[6:])


def test_a_fit_of_an_earlier_version_is_made_again():
    """Its model had fewer hyperparameters."""
    seen = begun(FreezeThaw(task()), 6, 3)
    sampler = FreezeThaw(task())
    sampler.restore({"thetas": [[0.0] * 18], "points": 6})
    assert "thetas" in sampler.ask(seen, 6, start=True).why


def test_another_seed_decides_otherwise():
    one, other = (FreezeThaw(task(seed=seed)).ask([], 0, start=True) for seed in (0, 1))
    assert one != other


@pytest.mark.parametrize("state", [State.FAILED, State.INFEASIBLE])
@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_when_all_trials_ended_badly_it_goes_on(state, epochs):
    seen = begun(FreezeThaw(task()), 12, epochs, state)
    assert len({str(t.params) for t in seen}) == 12


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("share", [1.0, 0.5])
def test_values_that_are_not_finite_are_bad_and_no_more(share):
    """The study hands out infinity for them."""

    def diverged(params, epoch):
        return math.inf if params["x"] <= share else value(params, epoch)

    seen = begun(FreezeThaw(task()), 6, 3, made=diverged)
    sampler = FreezeThaw(task())
    decision = sampler.ask(seen, 6, start=True)
    assert isinstance(decision, Resume)
    if share < 1:
        assert math.isfinite(seen[decision.number].curve[3][0])
    for state in (State.STOPPED, State.COMPLETE):
        ended = [trial(t.number, t.params, 27, state, made=diverged) for t in seen]
        assert isinstance(FreezeThaw(task()).ask(ended, 6, start=True), Start)


def test_equal_values_are_no_harm():
    seen = begun(FreezeThaw(task()), 8, 27, State.COMPLETE, made=lambda _, __: 0.5)
    assert isinstance(FreezeThaw(task()).ask(seen, 8, start=True), Start)


@pytest.mark.parametrize("max_epochs", [1, 2, 3])
def test_few_epochs(max_epochs):
    history = run(max_epochs=max_epochs, budget_epochs=25)
    assert len(history) == 25
    assert max(row.epoch for row in history) == max_epochs


SMALL = {
    "one choice": Space(params={"k": Choice(("a",))}),
    "one choice of two": Space(params={"k": Choice(("a", "b"))}),
    "constants only": Space(params={}, fixed={"k": "a"}),
    "a few": Space(params={"n": Integer(1, 3), "k": Choice((1, 2, 4))}, rules=(AtMost("k", "n"),)),
    "a single number": Space(params={"n": Integer(3, 3), "x": Real(0.5, 0.5)}),
}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("name", SMALL)
def test_small_spaces_are_tried_to_their_last(name, workers):
    space = SMALL[name]
    history = run(
        space,
        objective=lambda params, epoch: {"y": params.get("n", 1) / epoch},
        workers=workers,
        budget_epochs=500,
    )
    tried = {tuple(sorted(row.params.items())) for row in history}
    wanted = {"one choice of two": 2, "a few": 5}.get(name, 1)
    assert len(tried) == wanted
    assert len({row.trial for row in history}) == wanted
    assert max(row.epoch for row in history) == 9, "what is best is trained to its end"


@pytest.mark.slow
def test_nothing_breaks_a_limit_that_one_in_a_hundred_keeps():
    limits = {"x": (lambda params: params["x"], 0.01)}
    history = run(constraints=limits, budget_epochs=60)
    assert len(history) == 60
    assert all(row.params["x"] <= 0.01 for row in history)


def cost(params):
    return float(params["n"])


@pytest.mark.slow
def test_two_objectives_one_of_them_known():
    history = run(
        directions={"y": "min", "n": "min"}, known={"n": cost}, budget_epochs=150, workers=1
    )
    ended = [(row.params["n"], row.metrics["y"]) for row in history if row.epoch == 9]
    assert len({n for n, _ in ended}) >= 3, "a front is more than one point"


@pytest.mark.parametrize("way", ["min", "max"])
def test_two_known_objectives_and_one_learned(way):
    known = {"n": cost, "x": lambda params: params["x"]}
    history = run(directions={"y": "min", "n": way, "x": "min"}, known=known, budget_epochs=60)
    assert len(history) == 60


@pytest.mark.slow
def test_two_learned_objectives():
    def both(params, epoch):
        return {"y": value(params, epoch), "z": 1 - params["x"] + 1 / epoch}

    history = run(directions={"y": "min", "z": "max"}, objective=both, budget_epochs=100)
    assert len(history) == 100
    assert {3, 9} <= {max(r.epoch for r in rows) for _, rows in by_trial(history)}


def by_trial(history):
    return itertools.groupby(sorted(history, key=lambda row: row.trial), lambda row: row.trial)


def test_its_pruner_is_its_own():
    FreezeThaw(task(), "pause-halving")
    with pytest.raises(ValueError, match="freeze-thaw pauses by itself"):
        FreezeThaw(task(), "median")


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_finds_the_best_in_few_epochs(seed):
    history = run(seed=seed, budget_epochs=220, workers=1)
    best = min(value(row.params) for row in history if row.epoch == 9) - 1 / 27
    assert best < 0.03


@pytest.mark.parametrize(
    ("sampler", "wanted"),
    [("freeze-thaw", 36 * 3 + 24 * 6 + 16 * 18), ("tpe", 36 * 3 + 18 * 6 + 9 * 18)],
)
def test_the_usual_epochs_are_those_of_the_quota(sampler, wanted):
    assert usual_epochs(36, 27, sampler) == wanted
