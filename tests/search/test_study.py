"""The study as the truth: whatever becomes of a driver, nothing is lost and nothing done twice."""

import itertools
import math
import random
import shutil
from collections import Counter
from functools import partial
from unittest.mock import Mock

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from search.ledger import Ledger
from search.record import State, config_hash
from search.sampling import create
from search.study import SweepStudy
from search.study_file import StudyFile
from search.sweep_folder import SweepFolder
from spaces.rules import AtMost, Divides
from spaces.space import Choice, Integer, Real, Space

EPOCHS = 9
RUNGS = (1, 3)
OBJECTIVE = {"score": "max"}
RULES = (Divides("heads", "dim"), AtMost("depth", "dim"))
SPACE = Space(
    params={
        "dim": Integer(8, 64, step=8),
        "heads": Choice((1, 2, 3, 4)),
        "depth": Integer(1, 12),
        "lr": Real(1e-5, 1e-1, log=True),
    },
    fixed={"dropout": 0.1},
    rules=RULES,
)
LIMITS = {"cost": (lambda params: float(params["dim"] * params["depth"]), 300.0)}
POINTS = {
    "table#1": {"dim": 16, "heads": 2, "depth": 3, "lr": 1e-3},
    "table#2": {"dim": 32, "heads": 4, "depth": 2, "lr": 3e-3},
}


def score(params, epoch):
    closeness = 1 / (1 + abs(params["depth"] - 5) + abs(params["lr"] - 1e-2) * 30)
    return closeness * (1 - 0.5**epoch)


class Killed(BaseException):
    """The driver ends here."""


class Bench:
    """A storage, and studies opened on it as one driver after the other would."""

    def __init__(self, storage):
        self._storage = storage

    def open(self, space=SPACE, *, directions=OBJECTIVE, **more):
        study = create("sweep", directions, self._storage())
        more = {"max_epochs": EPOCHS, "sampler": "random"} | more
        return SweepStudy(study, space, directions=directions, **more)

    def frozen(self):
        study = optuna.load_study(study_name="sweep", storage=self._storage())
        return study.get_trials()


@pytest.fixture(params=["freeze-thaw", "tpe", "random"])
def sampler(request):
    return request.param


@pytest.fixture(params=["memory", pytest.param("sqlite", marks=pytest.mark.slow)])
def bench(request, tmp_path, study_db):
    if request.param == "memory":
        storage = InMemoryStorage()
        return Bench(lambda: storage)
    shutil.copy(study_db, tmp_path)
    return Bench(StudyFile(SweepFolder(tmp_path)).storage)


def drive(study):
    """Train one trial after the other, as a driver with one lane does; yields before each act.

    An interrupted trial says its last known epoch again when it is resumed, as lanes do; one that
    was paused goes on with the epoch after its commit.
    """
    yield "next"
    while (record := study.next()) is not None:
        known = record.epoch > record.resumed_epoch
        for epoch in range(record.epoch if known else record.epoch + 1, EPOCHS + 1):
            metrics = {"score": score(record.params, epoch)}
            yield "report"
            stop = study.report(record.key, epoch, metrics)
            if epoch == EPOCHS:
                yield "finish"
                study.finish(record.key, State.COMPLETE, metrics=metrics)
            elif stop:
                break
        yield "next"


def train(study):
    for _ in drive(study):
        pass


def told(study):
    """What was trained, in order, and what became of it."""
    return [
        (r.number, r.params, r.state, r.reason, r.epoch, r.value, r.curve, r.published, r.decisions)
        for r in study.accepted
    ]


def complete(study, value):
    """A trial that is trained to its end, without a pause."""
    record = study.next()
    for epoch in range(1, EPOCHS + 1):
        assert not study.report(record.key, epoch, {"score": value})
    study.finish(record.key, State.COMPLETE, metrics={"score": value})
    return record


def test_no_configuration_is_trained_twice(bench, sampler):
    space = Space(params={"a": Choice(("x", "y")), "b": Integer(1, 2)}, fixed={"c": 0.5})
    study = bench.open(space, sampler=sampler)
    found = []
    while (record := study.next()) is not None:
        study.report(record.key, 1, {"score": 0.5})
        study.finish(record.key, State.COMPLETE, metrics={"score": 0.5})
        found.append(config_hash(record.params))
    assert len(found) == len(set(found)) == 4
    assert study.gave_up == "every configuration was tried: 4"
    assert study.exhausted
    assert not study.unfinished

    again = bench.open(space, sampler=sampler)
    assert again.next() is None, "a reopened study knows them all"
    assert Counter(frozen.state for frozen in bench.frozen()) == {TrialState.COMPLETE: 4}


def test_a_finite_space_is_tried_to_its_last_configuration(bench, sampler):
    """A sampler that has learnt comes upon the same few again and again."""
    params = {"a": Choice(("x", "y", "z")), "b": Integer(2, 8, step=2), "c": Choice((1, 2))}
    space = Space(params={**params, "d": Real(0.5, 0.5)}, rules=(Divides("c", "b"),))
    limit = {"b": (lambda known: known["b"], 6.0)}
    for trials in (7, 30):
        study = bench.open(space, trials=trials, constraints=limit, sampler=sampler)
        while (record := study.next()) is not None:
            score = {"score": float(record.params["a"] == "x")}
            study.report(record.key, EPOCHS, score)
            study.finish(record.key, State.COMPLETE, metrics=score)
    found = {(r.params["a"], r.params["b"], r.params["c"]) for r in study.accepted}
    assert found == set(itertools.product("xyz", (2, 4, 6), (1, 2)))
    assert len(study.accepted) == len(found)
    assert study.exhausted


def test_a_finite_space_without_anything_feasible_is_a_mistake(bench, sampler):
    limit = {"b": (lambda _: 2, 1)}
    study = bench.open(Space(params={"b": Integer(1, 3)}), constraints=limit, sampler=sampler)
    assert study.next() is None
    assert not study.exhausted
    assert "b 2 exceeds the limit 1" in study.gave_up


def test_a_failed_configuration_is_not_tried_again(bench, sampler):
    study = bench.open(Space(params={"a": Choice(("x",))}), sampler=sampler)
    study.finish(study.next().key, State.FAILED, "boom")
    assert study.next() is None


def test_what_breaks_a_rule_or_a_limit_is_never_begun(bench, sampler):
    study = bench.open(trials=15, constraints=LIMITS, sampler=sampler)
    train(study)
    assert len(study.accepted) == len(study.records) == len(bench.frozen()) == 15
    for record in study.accepted:
        assert SPACE.broken(record.params, 224) == []
        assert record.params["dim"] * record.params["depth"] <= 300
        assert record.params["dropout"] == 0.1


def test_the_limit_guides_the_sampler():
    """Most of the space is too costly: after the first guesses the sampler stays out of it."""
    space = Space(params={"x": Real(0, 1), "y": Real(0, 1)})
    study = Bench(InMemoryStorage).open(
        space,
        trials=40,
        constraints={"x": (lambda params: params["x"], 0.2)},
        sampler="tpe",
        pruner="none",
    )
    while (record := study.next()) is not None:
        metrics = {"score": record.params["y"]}
        study.report(record.key, EPOCHS, metrics)
        study.finish(record.key, State.COMPLETE, metrics=metrics)
    refused = [len(r.decisions[0]["why"]["refused"]) for r in study.accepted]
    assert sum(refused[-20:]) < sum(refused[:20])


def test_nothing_feasible_is_said_with_its_reason(bench, sampler):
    space = Space(params={"x": Real(0, 1)}, fixed={"y": 7.0})
    limit = {"cost": (lambda params: params["y"], 2.5)}
    study = bench.open(space, constraints=limit, sampler=sampler)
    assert study.next() is None
    assert "cost 7 exceeds the limit 2.5" in study.gave_up
    assert "loosen the limit" in study.gave_up
    assert not study.unfinished
    assert bench.frozen() == []


def test_rules_that_nothing_keeps_are_said(bench):
    space = Space(params={"heads": Integer(5, 6), "dim": Integer(7, 9)}, rules=RULES[:1])
    study = bench.open(space)
    assert study.next() is None
    assert "heads divides dim (heads=" in study.gave_up


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.COMPLETE, TrialState.COMPLETE),
        (State.STOPPED, TrialState.PRUNED),
        (State.FAILED, TrialState.FAIL),
        (State.INFEASIBLE, TrialState.PRUNED),
    ],
)
def test_states(bench, state, expected):
    study = bench.open(trials=1, pruner="none")
    record = study.next()
    assert study.unfinished
    study.report(record.key, 1, {"score": 0.25})
    study.finish(record.key, state, "because", {"score": 0.5})
    study.finish(record.key, State.FAILED, "a second telling")
    (frozen,) = bench.frozen()
    assert frozen.user_attrs["trained"]
    assert frozen.state == expected
    assert frozen.user_attrs["reason"] == "because"
    assert frozen.user_attrs["state"] == state.value
    if state == State.COMPLETE:
        assert frozen.value == 0.5

    again = bench.open(trials=1, pruner="none")
    (reopened,) = again.accepted
    assert (reopened.state, reopened.reason, reopened.epoch) == (state, "because", 1)
    assert reopened.value == (0.5 if state == State.COMPLETE else 0.25)
    assert not again.unfinished
    assert again.next() is None


def test_what_an_earlier_version_called_pruned_is_stopped(bench):
    study = bench.open(trials=1)
    record = study.next()
    study._ledger.note(record.number, state="pruned")
    assert bench.open().records[record.key].state == State.STOPPED


def test_no_trial_is_left_running_or_paused(bench, sampler):
    study = bench.open(trials=12, constraints=LIMITS, sampler=sampler)
    train(study)
    found = {trial.state for trial in bench.frozen()}
    assert found == {TrialState.COMPLETE, TrialState.PRUNED}
    assert {record.state for record in study.accepted} == {State.COMPLETE, State.STOPPED}
    stopped = [r for r in study.accepted if r.state == State.STOPPED]
    assert {r.reason for r in stopped} <= {
        f"paused after epoch {rung}, and others were worth more" for rung in RUNGS
    }


def test_the_best_epoch_is_the_value(bench):
    study = bench.open(trials=1)
    record = study.next()
    study.report(record.key, 1, {"score": 0.75})
    study.finish(record.key, State.COMPLETE, metrics={"score": 0.5, "best_score": 0.75})
    (frozen,) = (trial for trial in bench.frozen() if trial.state == TrialState.COMPLETE)
    assert frozen.value == record.value == 0.75
    assert bench.open(trials=1).accepted[0].value == 0.75


def test_a_known_epoch_changes_nothing(bench):
    study = bench.open(trials=1, pruner="none")
    heard = []
    study.listeners.append(lambda record: heard.append(record.epoch))
    record = study.next()
    study.report(record.key, 1, {"score": 0.25})
    study.report(record.key, 2, {"score": 0.5})
    for epoch in (1, 2):
        assert study.report(record.key, epoch, {"score": 0.99}) is False
    (frozen,) = (t for t in bench.frozen() if t.state == TrialState.RUNNING)
    assert frozen.intermediate_values == {1: 0.25, 2: 0.5}
    assert (record.epoch, record.value, heard) == (2, 0.5, [0, 1, 2])
    study.finish(record.key, State.FAILED, "gone")
    assert study.report(record.key, 3, {"score": 0.75}) is True, "an ended trial must stop"


def test_a_trial_pauses_at_its_rungs_and_goes_on_from_there(bench, sampler):
    study = bench.open(trials=2, sampler=sampler)
    first, second = study.next(), study.next()
    assert study.report(first.key, 1, {"score": 0.5}) is True
    assert (first.state, first.reason) == (State.PAUSED, "paused after epoch 1")
    assert study.report(first.key, 1, {"score": 0.5}) is True, "said again, it stays paused"
    assert study.running
    assert study.next() is None, "one of one at the rung may not go on yet"
    assert study.report(second.key, 1, {"score": 0.25}) is True
    assert not study.running
    assert study.unfinished

    again = bench.open(trials=2, sampler=sampler)
    assert [r.state for r in again.accepted] == [State.PAUSED] * 2
    promoted = again.next()
    assert (promoted.number, promoted.state) == (first.number, State.RUNNING), "the better half"
    assert promoted.resumed_epoch == promoted.epoch == 1
    assert len(promoted.decisions) == 2
    assert again.report(promoted.key, 1, {"score": 0.5}) is False, "it does not pause twice there"
    assert again.report(promoted.key, 2, {"score": 0.5}) is False
    assert again.report(promoted.key, 3, {"score": 0.5}) is True
    assert again.next() is promoted, "of a few trials too, one is trained to its end"
    again.report(promoted.key, EPOCHS, {"score": 0.5})
    again.finish(promoted.key, State.COMPLETE, metrics={"score": 0.5})
    assert again.next() is None, "the budget has room for nothing else"
    assert [r.state for r in again.accepted] == [State.COMPLETE, State.STOPPED]
    assert not again.unfinished


def test_the_verdict_on_a_trial_is_remembered(bench):
    study = bench.open(trials=5, pruner="halving")
    for value in (0.5, 0.6, 0.7):
        complete(study, value)
    bad = study.next()
    assert study.report(bad.key, 1, {"score": 0.1}) is True

    again = bench.open(trials=5, pruner="halving")
    assert again.records[bad.key].state == State.STOPPED
    assert again.records[bad.key].reason == "stopped after epoch 1"
    assert again.report(bad.key, 1, {"score": 0.1}) is True
    assert again.next().key != bad.key


def test_a_bad_trial_is_stopped_by_a_pruner_and_a_good_one_is_not(bench):
    study = bench.open(trials=5, pruner="halving")
    for value in (0.5, 0.6, 0.7):
        complete(study, value)
    bad, good = study.next(), study.next()
    assert study.report(bad.key, 1, {"score": 0.1}) is True
    assert study.report(good.key, 1, {"score": 0.9}) is False


def test_rungs_survive_reopening(bench):
    study = bench.open(trials=8, pruner="halving")
    for value in (0.5, 0.6, 0.7):
        complete(study, value)
    running = study.next()
    assert study.report(running.key, 1, {"score": 0.8}) is False
    study.report(running.key, 2, {"score": 0.8})

    again = bench.open(trials=8, pruner="halving")
    resumed = again.next()
    assert resumed.key == running.key
    assert again.report(resumed.key, 3, {"score": 0.1}) is True, "the second rung's values remain"
    fresh = again.next()
    assert again.report(fresh.key, 1, {"score": 0.1}) is True, "and so do the first one's"


def test_several_objectives_are_not_stopped(bench):
    both = {"directions": {"score": "max", "cost": "min"}, "trials": 6}
    study = bench.open(**both)
    for value in (0.9, 0.8, 0.7, 0.1, 0.05, 0.01):
        record = study.next()
        for epoch in range(1, EPOCHS + 1):
            assert not study.report(record.key, epoch, {"score": value, "cost": 1.0})
        study.finish(record.key, State.COMPLETE, metrics={"score": value, "cost": 1.0})
    values = [trial.values for trial in bench.frozen() if trial.state == TrialState.COMPLETE]
    assert values[0] == [0.9, 1.0]
    assert len(values) == 6
    again = bench.open(**both)
    assert again.accepted[0].value == 0.9
    assert again.accepted[0].curve == dict.fromkeys(range(1, EPOCHS + 1), (0.9, 1.0))


def test_a_known_objective_is_told_without_being_reported(bench):
    known = {"cost": lambda params: float(params["dim"])}
    both = {"directions": {"score": "max", "cost": "min"}, "known": known, "trials": 4}
    study = bench.open(**both, sampler="freeze-thaw")
    train(study)
    ended = [t for t in bench.frozen() if t.state == TrialState.COMPLETE]
    assert ended
    for trial in ended:
        assert trial.values[1] == trial.params["dim"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_remembered(bench, value):
    study = bench.open(trials=2)
    record = study.next()
    assert study.report(record.key, 1, {"score": value}) is True
    again = bench.open(trials=2)
    found = again.records[record.key]
    assert (found.state, found.epoch, found.value) == (State.PAUSED, 1, None)


def test_the_epochs_of_all_trials_are_limited(bench, sampler):
    study = bench.open(epochs=20, sampler=sampler)
    train(study)
    spent = sum(record.epoch for record in study.accepted)
    assert 20 <= spent < 20 + EPOCHS, "what runs then goes on to its next pause"
    assert not study.unfinished
    assert study.gave_up == ""

    more = bench.open(epochs=30, sampler=sampler)
    train(more)
    assert 30 <= sum(record.epoch for record in more.accepted) < 30 + EPOCHS


def test_a_study_of_other_objectives_is_refused(bench):
    bench.open()
    with pytest.raises(ValueError, match="directions"):
        bench.open(directions={"score": "min"})


def test_a_sampler_that_there_is_not_is_refused(bench):
    with pytest.raises(ValueError, match="no sampler 'freezethaw'; did you mean 'freeze-thaw'"):
        bench.open(sampler="freezethaw")
    with pytest.raises(ValueError, match="no pruner 'medan'; did you mean 'median'"):
        bench.open(sampler="tpe", pruner="medan")


def test_interrupted_trials_come_first_under_their_keys(bench):
    study = bench.open(trials=4, pruner="none")
    done = complete(study, 0.5)
    running = [study.next(), study.next()]
    for epoch in (1, 2):
        study.report(running[0].key, epoch, {"score": 0.9})

    again = bench.open(trials=4, pruner="none")
    assert again.unfinished
    resumed = [again.next(), again.next()]
    assert [(r.key, r.params, r.epoch) for r in resumed] == [
        (running[0].key, running[0].params, 2),
        (running[1].key, running[1].params, 0),
    ]
    assert resumed[0].value == 0.9
    fresh = again.next()
    assert fresh.key not in {done.key, *(r.key for r in running)}
    assert again.next() is None
    assert len(bench.open().accepted) == 4


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.COMPLETE, TrialState.COMPLETE),
        (State.STOPPED, TrialState.PRUNED),
        (State.FAILED, TrialState.FAIL),
    ],
)
def test_a_trial_cut_off_while_it_was_told_is_repaired(bench, monkeypatch, state, expected):
    study = bench.open(trials=2, pruner="none")
    record = study.next()
    study.report(record.key, 1, {"score": 0.25})

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "end", Mock(side_effect=Killed))
        with pytest.raises(Killed):
            study.finish(record.key, state, "over", {"score": 0.5, "best_score": 0.75})
    assert TrialState.RUNNING in {trial.state for trial in bench.frozen()}

    again = bench.open(trials=2, pruner="none")
    (frozen,) = bench.frozen()
    assert frozen.state == expected
    assert again.records[record.key].state == state
    assert again.next().key != record.key
    if state == State.COMPLETE:
        assert frozen.value == again.records[record.key].value == 0.75


def test_published_points_come_first_and_once(bench, sampler):
    study = bench.open(trials=6, sampler=sampler)
    for _ in range(2):
        study.enqueue(POINTS)
    first = [study.next(), study.next()]
    assert [(r.published, r.params) for r in first] == [
        (address, SPACE.fixed | params) for address, params in POINTS.items()
    ]
    assert [r.decisions[0]["why"] for r in first] == [
        {"because": "published", "published": address} for address in POINTS
    ]

    again = bench.open(trials=6, sampler=sampler)
    again.enqueue(POINTS)
    assert [again.next().published for _ in range(2)] == list(POINTS), "interrupted ones"
    train(again)
    assert [record.published for record in again.accepted] == [*POINTS, "", "", "", ""]
    assert [r.published for r in bench.open().accepted if r.published] == list(POINTS)


def test_so_many_published_points_are_tried_and_only_what_is_feasible(bench):
    broken = {"table#0": POINTS["table#1"] | {"heads": 3}}
    costly = {"table#3": POINTS["table#1"] | {"dim": 64, "depth": 12, "heads": 1}}
    points = broken | costly | POINTS
    study = bench.open(trials=6, constraints=LIMITS)
    study.enqueue(points, 1)
    assert [study.next().published for _ in range(2)] == ["table#1", ""]

    again = bench.open(trials=6, constraints=LIMITS)
    again.enqueue(points, 2)
    train(again)
    assert [r.published for r in again.accepted] == ["table#1", "", "table#2", "", "", ""]


def test_what_a_published_point_leaves_open_is_drawn(bench):
    point = {"dim": 16, "depth": 3}
    for _ in range(2):
        study = bench.open(trials=1, constraints=LIMITS)
        study.enqueue({"table#1": point})
        record = study.next()
        assert record.params.items() >= point.items()
        assert record.params.keys() == {*SPACE.params, *SPACE.fixed}
        assert SPACE.broken(record.params, 224) == []


def test_points_that_an_earlier_version_enqueued_are_tried(bench):
    study = bench.open(trials=3)
    for address, params in POINTS.items():
        study._study.enqueue_trial(params, user_attrs={"published": address})
    again = bench.open(trials=3)
    train(again)
    assert [r.published for r in again.accepted] == [*POINTS, ""]
    assert all(trial.state.is_finished() for trial in bench.frozen())


def test_a_larger_number_of_trials_extends(bench, sampler):
    study = bench.open(trials=3, sampler=sampler)
    train(study)
    before = told(study)
    assert not study.unfinished

    extended = bench.open(trials=5, sampler=sampler)
    assert extended.unfinished
    train(extended)
    assert told(extended)[:3] == before
    assert len(extended.accepted) == 5


def test_one_seed_one_sequence(sampler):
    def sequence(seed):
        study = Bench(InMemoryStorage).open(
            trials=12, seed=seed, constraints=LIMITS, sampler=sampler
        )
        train(study)
        return told(study)

    assert sequence(0) == sequence(0)
    assert sequence(0) != sequence(1)


def test_equal_values_are_equal_configurations():
    assert config_hash({"a": 1, "b": True}) == config_hash({"b": True, "a": 1})
    assert config_hash({"a": 1, "b": True}) != config_hash({"a": 1, "b": False})


WRITES = (
    "create_new_trial",
    "set_trial_param",
    "set_trial_state_values",
    "set_trial_intermediate_value",
    "set_trial_user_attr",
    "set_trial_system_attr",
)


class Mortal(InMemoryStorage):
    """A storage whose driver is killed just before write number `life`; `lost` is that write."""

    life = -1
    lost = ()

    def __getattribute__(self, name):
        found = super().__getattribute__(name)
        return partial(self._write, found) if name in WRITES else found

    def _write(self, method, *arguments, **named):
        self.life -= 1
        if self.life == -1:
            self.lost = (method.__name__, *arguments)
            raise Killed
        return method(*arguments, **named)


def test_a_suggestion_and_an_epoch_are_one_write_each(sampler):
    """Each costs a transaction; the study is not read again either."""
    storage = Mortal()
    study = Bench(lambda: storage).open(trials=9, sampler=sampler)
    read = Mock(side_effect=AssertionError("the storage is read once, when the study is opened"))
    storage.get_all_trials = storage.get_n_trials = storage.get_trial = read
    written = []
    for act in drive(study):
        written.append((act, -1 - storage.life, len(study.records)))
    for (act, before, known), (_, after, now) in itertools.pairwise(written):
        if act == "next" and now > known:
            assert after - before == 1
        elif act == "report":
            assert after - before in (1, 3), "more if it pauses: its reason and its state"


def lived(storage, sampler, seed, life=-1):
    """Open the sweep on `storage` and drive it until it ends or is killed; whether it ended."""
    storage.life = -1
    study = Bench(lambda: storage).open(
        trials=9, seed=seed, constraints=LIMITS, costly={"cost": 16}, sampler=sampler
    )
    study.enqueue(POINTS)
    storage.life = life
    try:
        train(study)
    except Killed:
        return study, False
    return study, True


def kill_before(cut, sampler, seed, expected):
    storage = Mortal()
    before, ended = lived(storage, sampler, seed, cut)
    assert not ended
    after, ended = lived(storage, sampler, seed)
    assert ended
    assert told(after) == expected, f"killed before write {cut}: {storage.lost}"
    kept = [r for r in before.accepted if r.state.final]
    assert [after.records[r.key].params for r in kept] == [r.params for r in kept]
    identities = [config_hash(record.params) for record in after.accepted]
    assert len(identities) == len(set(identities)) == 9
    reopened = Bench(lambda: storage)
    assert all(trial.state.is_finished() for trial in reopened.frozen())
    assert told(reopened.open()) == expected


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("seed", "share"), [(0, 4), pytest.param(1, 1, marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_killed_anywhere_and_resumed_equals_never_killed(sampler, seed, share):
    """The driver dies before any one of its writes; the next one goes on with the storage."""
    unbroken, _ = lived(storage := Mortal(), sampler, seed)
    expected, writes = told(unbroken), -1 - storage.life
    assert [record.published for record in unbroken.accepted[:2]] == list(POINTS)
    assert any(len(record.decisions) > 1 for record in unbroken.accepted), "some were promoted"
    for cut in range(seed, writes, share):
        kill_before(cut, sampler, seed, expected)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_interrupted_at_twenty_moments(tmp_path, study_db, sampler):
    """The same on SQLite, with a storage of its own for every driver."""
    shutil.copy(study_db, tmp_path)
    bench, rng = Bench(StudyFile(SweepFolder(tmp_path)).storage), random.Random(7)
    settings = {"trials": 12, "seed": 3, "sampler": sampler}
    unbroken = Bench(InMemoryStorage).open(**settings)
    acts = sum(1 for _ in drive(unbroken))
    lengths, interrupted = [rng.randrange(1, acts // 12) for _ in range(20)], 0
    while (study := bench.open(**settings)).unfinished:
        length = lengths[interrupted] if interrupted < 20 else None
        for _ in itertools.islice(drive(study), length):
            pass
        interrupted += 1
    assert interrupted >= 20
    assert told(study) == told(unbroken)
