"""The study as the truth: whatever becomes of a driver, nothing is lost and nothing done twice."""

import itertools
import random
import shutil
from collections import Counter
from functools import partial
from unittest.mock import Mock

import optuna
import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from search.record import State, config_hash
from search.sampling import create
from search.study import SweepStudy
from search.study_file import StudyFile
from search.sweep_folder import SweepFolder
from spaces.rules import AtMost, Divides
from spaces.space import Choice, Integer, Real, Space

EPOCHS = 9
OBJECTIVE = {"score": "max"}
SPACE = Space(
    params={
        "dim": Integer(8, 64, step=8),
        "heads": Choice((1, 2, 3, 4)),
        "depth": Integer(1, 12),
        "lr": Real(1e-5, 1e-1, log=True),
    },
    fixed={"dropout": 0.1},
    rules=(Divides("heads", "dim"), AtMost("depth", "dim")),
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
        study = create("sweep", directions, self._storage(), EPOCHS)
        return SweepStudy(study, space, directions=directions, **more)

    def frozen(self):
        study = optuna.load_study(study_name="sweep", storage=self._storage())
        return study.get_trials()


@pytest.fixture(params=["memory", pytest.param("sqlite", marks=pytest.mark.slow)])
def bench(request, tmp_path, study_db):
    if request.param == "memory":
        storage = InMemoryStorage()
        return Bench(lambda: storage)
    shutil.copy(study_db, tmp_path)
    return Bench(StudyFile(SweepFolder(tmp_path)).storage)


def drive(study):
    """Train one trial after the other, as a driver with one lane does; yields before each act.

    A trial says its last known epoch again when it is resumed, as lanes do.
    """
    yield "next"
    while (record := study.next()) is not None:
        for epoch in range(max(1, record.epoch), EPOCHS + 1):
            metrics = {"score": score(record.params, epoch)}
            yield "report"
            stop = study.report(record.key, epoch, metrics)
            if epoch == EPOCHS:
                yield "finish"
                study.finish(record.key, State.COMPLETE, metrics=metrics)
            elif stop:
                yield "stop"
                study.finish(record.key, State.PRUNED, f"stopped after epoch {epoch}")
                break
        yield "next"


def train(study):
    for _ in drive(study):
        pass


def told(study):
    """What was trained, in order, and what became of it."""
    return [(r.params, r.state, r.epoch, r.value, r.published) for r in study.accepted]


def complete(study, value):
    record = study.next()
    for epoch in range(1, EPOCHS + 1):
        study.report(record.key, epoch, {"score": value})
    study.finish(record.key, State.COMPLETE, metrics={"score": value})
    return record


def test_no_configuration_is_trained_twice(bench):
    space = Space(params={"a": Choice(("x", "y")), "b": Integer(1, 2)}, fixed={"c": 0.5})
    study = bench.open(space)
    found = []
    while (record := study.next()) is not None:
        study.finish(record.key, State.COMPLETE, metrics={"score": 0.5})
        found.append(config_hash(record.params))
    assert len(found) == len(set(found)) == 4
    assert study.gave_up == "every configuration was tried: 4"
    assert study.exhausted
    assert not study.unfinished

    again = bench.open(space)
    assert again.next() is None, "a reopened study knows them all"
    states = Counter(frozen.state for frozen in bench.frozen())
    assert states.keys() == {TrialState.COMPLETE, TrialState.FAIL}
    assert states[TrialState.COMPLETE] == 4


def test_a_finite_space_is_tried_to_its_last_configuration(bench):
    """A sampler that has learnt comes upon the same few again and again."""
    params = {"a": Choice(("x", "y", "z")), "b": Integer(2, 8, step=2), "c": Choice((1, 2))}
    space = Space(params={**params, "d": Real(0.5, 0.5)}, rules=(Divides("c", "b"),))
    limit = {"b": (lambda known: known["b"], 6.0)}
    for trials in (7, 30):
        study = bench.open(space, trials=trials, constraints=limit)
        while (record := study.next()) is not None:
            score = {"score": float(record.params["a"] == "x")}
            study.finish(record.key, State.COMPLETE, metrics=score)
    found = {(r.params["a"], r.params["b"], r.params["c"]) for r in study.accepted}
    assert found == set(itertools.product("xyz", (2, 4, 6), (1, 2)))
    assert len(study.accepted) == len(found)
    assert study.exhausted


def test_a_finite_space_without_anything_feasible_is_a_mistake(bench):
    study = bench.open(Space(params={"b": Integer(1, 3)}), constraints={"b": (lambda _: 2, 1)})
    assert study.next() is None
    assert not study.exhausted
    assert "b 2 exceeds the limit 1" in study.gave_up


def test_a_failed_configuration_is_not_tried_again(bench, monkeypatch):
    monkeypatch.setattr("search.study.REJECTIONS", 20)
    study = bench.open(Space(params={"a": Choice(("x",))}))
    study.finish(study.next().key, State.FAILED, "boom")
    assert study.next() is None


def test_what_breaks_a_rule_or_a_limit_is_told_and_never_returned(bench):
    study = bench.open(trials=15, constraints=LIMITS)
    train(study)
    assert len(study.accepted) == 15
    for record in study.accepted:
        assert SPACE.broken(record.params, 224) == []
        assert record.params["dim"] * record.params["depth"] <= 300
        assert record.params["dropout"] == 0.1

    rejected = [r for r in study.records.values() if r.state == State.INFEASIBLE]
    frozen = {trial.number: trial for trial in bench.frozen()}
    for record in rejected:
        assert frozen[record.number].state == TrialState.PRUNED
        assert max(frozen[record.number].constraints.values()) > 0
    for record in study.accepted:
        assert max(frozen[record.number].constraints.values()) <= 0
    reasons = " ".join(record.reason for record in rejected)
    assert "heads divides dim (heads=" in reasons
    assert "exceeds the limit 300" in reasons


def test_the_limit_guides_the_sampler():
    """Half of the space is too costly: after the first guesses the sampler stays out of it."""
    space = Space(params={"x": Real(0, 1), "y": Real(0, 1)})
    study = Bench(InMemoryStorage).open(
        space, trials=40, constraints={"x": (lambda params: params["x"], 0.2)}
    )
    while (record := study.next()) is not None:
        study.finish(record.key, State.COMPLETE, metrics={"score": record.params["y"]})
    first = [r.state for r in itertools.islice(study.records.values(), 20)]
    last = [r.state for r in study.records.values()][-20:]
    assert last.count(State.INFEASIBLE) < first.count(State.INFEASIBLE)


def test_nothing_feasible_is_said_with_its_reason(bench, monkeypatch):
    monkeypatch.setattr("search.study.REJECTIONS", 25)
    space = Space(params={"x": Real(0, 1)}, fixed={"y": 7.0})
    study = bench.open(space, constraints={"cost": (lambda params: params["y"], 2.5)})
    assert study.next() is None
    assert "cost 7 exceeds the limit 2.5" in study.gave_up
    assert "loosen the limit" in study.gave_up
    assert not study.unfinished


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (State.COMPLETE, TrialState.COMPLETE),
        (State.PRUNED, TrialState.PRUNED),
        (State.FAILED, TrialState.FAIL),
        (State.INFEASIBLE, TrialState.PRUNED),
    ],
)
def test_states(bench, state, expected):
    study = bench.open(trials=1)
    record = study.next()
    assert study.unfinished
    study.report(record.key, 1, {"score": 0.25})
    study.finish(record.key, state, "because", {"score": 0.5})
    study.finish(record.key, State.FAILED, "a second telling")
    (frozen,) = (trial for trial in bench.frozen() if trial.user_attrs["trained"])
    assert frozen.state == expected
    assert frozen.user_attrs["reason"] == "because"
    assert (max(frozen.constraints.values()) > 0) == (state == State.INFEASIBLE)
    assert (frozen.value == 0.5) == (state == State.COMPLETE)

    again = bench.open(trials=1)
    (reopened,) = again.accepted
    assert (reopened.state, reopened.reason, reopened.epoch) == (state, "because", 1)
    assert reopened.value == (0.5 if state == State.COMPLETE else 0.25)
    assert not again.unfinished
    assert again.next() is None


def test_no_trial_is_left_running(bench):
    study = bench.open(trials=12, constraints=LIMITS)
    train(study)
    found = {trial.state for trial in bench.frozen()}
    assert found <= {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    assert {record.state for record in study.accepted} >= {State.COMPLETE, State.PRUNED}


def test_the_best_epoch_is_the_value(bench):
    study = bench.open(trials=1)
    record = study.next()
    study.report(record.key, 1, {"score": 0.75})
    study.finish(record.key, State.COMPLETE, metrics={"score": 0.5, "best_score": 0.75})
    (frozen,) = (trial for trial in bench.frozen() if trial.state == TrialState.COMPLETE)
    assert frozen.value == record.value == 0.75


def test_a_known_epoch_changes_nothing(bench):
    study = bench.open(trials=1)
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


def test_the_verdict_on_a_trial_is_remembered(bench):
    study = bench.open(trials=5)
    for value in (0.5, 0.6, 0.7):
        complete(study, value)
    bad = study.next()
    assert study.report(bad.key, 1, {"score": 0.1}) is True

    again = bench.open(trials=5)
    assert again.next().key == bad.key
    assert again.report(bad.key, 1, {"score": 0.1}) is True


def test_a_bad_trial_is_pruned_and_a_good_one_is_not(bench):
    study = bench.open(trials=5)
    for value in (0.5, 0.6, 0.7):
        complete(study, value)
    bad, good = study.next(), study.next()
    assert study.report(bad.key, 1, {"score": 0.1}) is True
    assert study.report(good.key, 1, {"score": 0.9}) is False


def test_rungs_survive_reopening(bench):
    study = bench.open(trials=8)
    for value in (0.5, 0.6, 0.7):
        complete(study, value)
    running = study.next()
    assert study.report(running.key, 1, {"score": 0.8}) is False
    study.report(running.key, 2, {"score": 0.8})

    again = bench.open(trials=8)
    resumed = again.next()
    assert resumed.key == running.key
    assert again.report(resumed.key, 3, {"score": 0.1}) is True, "the second rung's values remain"
    fresh = again.next()
    assert again.report(fresh.key, 1, {"score": 0.1}) is True, "and so do the first one's"


def test_several_objectives_are_not_pruned(bench):
    study = bench.open(directions={"score": "max", "cost": "min"}, trials=6)
    for value in (0.9, 0.8, 0.7, 0.1, 0.05, 0.01):
        record = study.next()
        for epoch in range(1, EPOCHS + 1):
            assert not study.report(record.key, epoch, {"score": value, "cost": 1.0})
        study.finish(record.key, State.COMPLETE, metrics={"score": value, "cost": 1.0})
    values = [trial.values for trial in bench.frozen() if trial.state == TrialState.COMPLETE]
    assert values[0] == [0.9, 1.0]
    assert len(values) == 6
    assert bench.open(directions={"score": "max", "cost": "min"}).accepted[0].value == 0.9


def test_a_study_of_other_objectives_is_refused(bench):
    bench.open()
    with pytest.raises(ValueError, match="directions"):
        bench.open(directions={"score": "min"})


def test_interrupted_trials_come_first_under_their_keys(bench):
    study = bench.open(trials=4)
    done = complete(study, 0.5)
    running = [study.next(), study.next()]
    for epoch in (1, 2):
        study.report(running[0].key, epoch, {"score": 0.9})

    again = bench.open(trials=4)
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
    [(State.COMPLETE, TrialState.COMPLETE), (State.FAILED, TrialState.FAIL)],
)
def test_a_trial_cut_off_while_it_was_told_is_repaired(bench, monkeypatch, state, expected):
    study = bench.open(trials=2)
    record = study.next()
    study.report(record.key, 1, {"score": 0.25})

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, "tell", Mock(side_effect=Killed))
        with pytest.raises(Killed):
            study.finish(record.key, state, "over", {"score": 0.5, "best_score": 0.75})
    assert TrialState.RUNNING in {trial.state for trial in bench.frozen()}

    again = bench.open(trials=2)
    (frozen,) = (trial for trial in bench.frozen() if trial.user_attrs["trained"])
    assert frozen.state == expected
    assert again.records[record.key].state == state
    assert again.next().key != record.key
    if state == State.COMPLETE:
        assert frozen.value == 0.75


def test_published_points_come_first_and_once(bench):
    study = bench.open(trials=6)
    for _ in range(2):
        for address, params in POINTS.items():
            study.enqueue(params, address)
    first = [study.next(), study.next()]
    assert [(r.published, r.params) for r in first] == [
        (address, SPACE.fixed | params) for address, params in POINTS.items()
    ]

    again = bench.open(trials=6)
    for address, params in POINTS.items():
        again.enqueue(params, address)
    assert [again.next().published for _ in range(2)] == list(POINTS), "interrupted ones"
    train(again)
    assert [record.published for record in again.accepted] == [*POINTS, "", "", "", ""]
    assert [r.published for r in bench.open().accepted if r.published] == list(POINTS)


def test_a_larger_number_of_trials_extends(bench):
    study = bench.open(trials=3)
    train(study)
    before = told(study)
    assert not study.unfinished

    extended = bench.open(trials=5)
    assert extended.unfinished
    train(extended)
    assert told(extended)[:3] == before
    assert len(extended.accepted) == 5


def test_one_seed_one_sequence():
    def sequence(seed):
        study = Bench(InMemoryStorage).open(trials=12, seed=seed, constraints=LIMITS)
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
            self.lost = arguments
            raise Killed
        return method(*arguments, **named)


def lived(storage, seed, life=-1):
    """Open the sweep on `storage` and drive it until it ends or is killed; whether it ended."""
    storage.life = -1
    study = Bench(lambda: storage).open(trials=12, seed=seed, constraints=LIMITS)
    for address, params in POINTS.items():
        study.enqueue(params, address)
    storage.life = life
    try:
        train(study)
    except Killed:
        return study, False
    return study, True


@pytest.mark.filterwarnings("ignore:The constraint value is ignored")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killed_anywhere_and_resumed_equals_never_killed(seed):
    """The driver dies before any one of its writes; the next one goes on with the storage.

    One write is an exception: the pruner says its verdict once, and if that is not noted the trial
    goes on to the next rung.
    """
    storage = Mortal()
    unbroken, _ = lived(storage, seed)
    expected, writes = told(unbroken), -1 - storage.life
    assert [published for *_, published in expected[:2]] == list(POINTS)

    for cut in random.Random(seed).sample(range(writes), 16):
        storage = Mortal()
        before, ended = lived(storage, seed, cut)
        assert not ended
        after, ended = lived(storage, seed)
        assert ended
        if "stop" not in storage.lost:
            assert told(after) == expected, f"killed before write {cut}: {storage.lost}"
        kept = [r for r in before.accepted if r.state != State.RUNNING]
        assert [after.records[r.key].params for r in kept] == [r.params for r in kept]
        identities = [config_hash(record.params) for record in after.accepted]
        assert len(identities) == len(set(identities)) == 12
        running = [t for t in Bench(lambda s=storage: s).frozen() if not t.state.is_finished()]
        assert not running


@pytest.mark.parametrize("acts", [pytest.param(4, marks=pytest.mark.slow), 21])
def test_interrupted_every_few_acts(tmp_path, study_db, acts):
    """The same on SQLite, with a storage of its own for every driver."""
    shutil.copy(study_db, tmp_path)
    bench = Bench(StudyFile(SweepFolder(tmp_path)).storage)
    storage = InMemoryStorage()
    unbroken = Bench(lambda: storage).open(trials=6, seed=3)
    train(unbroken)
    while (study := bench.open(trials=6, seed=3)).unfinished:
        for _ in itertools.islice(drive(study), acts):
            pass
    assert told(study) == told(unbroken)
