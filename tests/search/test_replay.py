"""Any sweep can be replayed: each decision follows from the seed, its number and what was known."""

import copy
import heapq
import json
import random
from dataclasses import replace

import pytest
from optuna.storages import InMemoryStorage

from search.feasibility import Feasibility
from search.record import State
from search.roster import Roster
from search.samplers import Resume, Start, Task, lessened
from search.samplers.loading import load
from search.sampling import create
from search.study import SweepStudy
from spaces.rules import Divides
from spaces.space import Choice, Integer, Real, Space

EPOCHS = 9
SPACE = Space(
    params={
        "x": Real(-3, 3),
        "n": Integer(1, 8),
        "k": Choice((1, 2, 3)),
        "kind": Choice(("a", "b", "c")),
    },
    fixed={"c": 1},
    rules=(Divides("k", "n"),),
)
POINTS = {"table#1": {"x": 2.0, "n": 2, "k": 1, "kind": "a"}}


def size(params):
    return 1.0 + params["n"] * (1 + abs(params["x"]))


SWEEPS = {
    "one objective": {"directions": {"y": "max"}},
    "a costly limit": {
        "directions": {"y": "max"},
        "constraints": {"size": (size, 20.0)},
        "costly": {"size": 16},
    },
    "a known objective": {"directions": {"y": "max", "size": "min"}, "known": {"size": size}},
    "two learned": {"directions": {"y": "max", "z": "min"}},
}


_SLOW = {name: () if name == "one objective" else (pytest.mark.slow,) for name in SWEEPS}


def metrics(params, epoch):
    end = -((params["x"] - 1) ** 2) - 0.1 * (8 - params["n"]) - 0.3 * (params["kind"] != "b")
    return {"y": end - 2 / epoch, "z": params["n"] + 1 / epoch}


def opened(storage, *, trials=16, seed=5, **settings):
    stored = create("sweep", settings["directions"], storage)
    study = SweepStudy(stored, SPACE, max_epochs=EPOCHS, trials=trials, seed=seed, **settings)
    study.enqueue(POINTS)
    return study


def train(study, lanes, rng, acts=10**6):
    """So many trials at a time, whose epochs take times of their own; ends after so many acts."""
    due, order = [], 0

    def fill(now):
        nonlocal order
        while len(due) < lanes and (record := study.next()) is not None:
            order += 1
            heapq.heappush(due, (now + rng.uniform(0.5, 2), order, record, record.epoch + 1))

    fill(0.0)
    while due and acts > 0:
        acts -= 1
        now, _, record, epoch = heapq.heappop(due)
        told = metrics(record.params, epoch)
        if epoch >= EPOCHS:
            study.report(record.key, epoch, told)
            study.finish(record.key, State.COMPLETE, metrics=told)
        elif record.number % 7 == 6 and epoch == 2:
            study.finish(record.key, State.FAILED, "boom")
        elif not study.report(record.key, epoch, told):
            order += 1
            heapq.heappush(due, (now + rng.uniform(0.5, 2), order, record, epoch + 1))
        fill(now)


def replayed(study, task, sampler, trials):
    """Ask a fresh sampler for each decision of `study`, from what it notes; how many were asked.

    Nothing else is used than the decisions of the trials, their curves and their last values.
    """
    told = {
        t.number: dict(zip(study._directions, t.values or (), strict=False)) for t in stored(study)
    }
    noted = sorted(
        ((decision, record) for record in study.accepted for decision in record.decisions),
        key=lambda pair: pair[0]["number"],
    )
    assert [decision["number"] for decision, _ in noted] == list(range(len(noted)))
    begun, known, whys, asked = {}, {}, [], 0
    for decision, record in noted:
        known |= {number: (epoch, State(state)) for number, epoch, state in decision["news"]}
        roster = Roster(study._directions, task.learned, task.feasibility.space)
        for number, one in begun.items():
            epoch, state = known[number]
            curve = {e: values for e, values in one.curve.items() if e <= epoch}
            then = replace(one, state=state, epoch=epoch, curve=curve, value=None)
            roster.add(then)
            if state == State.COMPLETE:
                roster.end(then, told[number])
        why, number = decision["why"], decision["number"]
        if "published" not in why:
            fresh = load(sampler, task)
            for earlier in whys:
                fresh.restore(earlier)
            start = len(begun) < trials
            found = fresh.ask(list(roster.seen.values()), number, start=start)
            wanted = (
                Resume(record.number, why) if "epoch" in decision else Start(record.params, why)
            )
            assert json.dumps(found) == json.dumps(wanted), f"decision {number}"
            asked += 1
        whys.append(why)
        begun.setdefault(record.number, record)
        known[record.number] = (decision.get("epoch", 0), State.RUNNING)
    return asked


def stored(study):
    return study._study.get_trials()


def task_of(settings, seed=5):
    directions, known = settings["directions"], settings.get("known", {})
    return Task(
        feasibility=Feasibility(SPACE, 224, settings.get("constraints", {})),
        learned=tuple(name for name in directions if name not in known),
        known={name: lessened(f, directions[name]) for name, f in known.items()},
        max_epochs=EPOCHS,
        seed=seed,
        costly=settings.get("costly", {}),
    )


@pytest.mark.parametrize("sampler", ["freeze-thaw", "tpe", "random"])
@pytest.mark.parametrize(
    "sweep", [pytest.param(name, marks=marks) for name, marks in _SLOW.items()]
)
def test_a_sweep_with_two_lanes_is_replayed(sweep, sampler):
    settings = SWEEPS[sweep]
    study = opened(InMemoryStorage(), sampler=sampler, **settings)
    train(study, 2, random.Random(1))
    assert not study.unfinished
    again = opened(study._study._storage, sampler=sampler, **copy.copy(settings))
    resumed = sum(len(record.decisions) - 1 for record in study.accepted)
    assert resumed or (sampler != "freeze-thaw" and len(settings["directions"]) > 1)
    assert replayed(again, task_of(settings), sampler, 16) == 15 + resumed


@pytest.mark.slow
@pytest.mark.parametrize("sampler", ["freeze-thaw", "tpe"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_sweep_with_two_lanes_that_was_killed_is_replayed(sampler, seed):
    settings, rng, storage, kills = (
        SWEEPS["a costly limit"],
        random.Random(seed),
        InMemoryStorage(),
        0,
    )
    while (study := opened(storage, sampler=sampler, **settings)).unfinished:
        train(study, 2, rng, acts=rng.randrange(3, 20))
        kills += 1
    assert kills > 3
    assert len(study.accepted) == 16
    assert replayed(study, task_of(settings), sampler, 16) >= 15
