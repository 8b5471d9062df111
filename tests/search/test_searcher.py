"""What Tune is told of the study and the study of Tune's results; no Ray is started."""

import dataclasses
import pickle

import pytest
from ray.tune.search import Searcher

from search.record import State
from search.searcher import StudySearcher, metrics_of
from search.sweep_folder import SweepFolder
from trainables.trial_log import Line

EPOCH = {"valid_top1": 0.5, "train_loss": 1.0, "epoch": 1, "done": False, "time_total_s": 3.0}


@pytest.fixture
def study(empty_sweep):
    return empty_sweep.study()


@pytest.fixture
def searcher(empty_sweep, study):
    return StudySearcher(study, empty_sweep.plan, SweepFolder(empty_sweep.folder))


def result(epoch, **more):
    return EPOCH | {"epoch": epoch} | more


def test_a_lane_gets_a_trial_and_nothing_of_the_crew(searcher, study, empty_sweep):
    config = searcher.suggest("tune-1")
    (record,) = study.accepted
    assert config == {
        "trial_key": record.key,
        "flat": empty_sweep.plan.flat(record.params),
        "directory": str(empty_sweep.folder / "trials" / record.key),
        "known_epoch": 0,
        "stages": str(empty_sweep.folder / "stages"),
        "quiet": str(empty_sweep.folder / "quiet"),
    }


def test_an_interrupted_trial_comes_first_and_says_its_last_epoch_again(searcher, study, made_new):
    key = searcher.suggest("tune-1")["trial_key"]
    for epoch in (1, 2):
        study.report(key, epoch, metrics_of(Line.of(result(epoch))))
    config = made_new().suggest("another-1")
    assert (config["trial_key"], config["known_epoch"]) == (key, 1)


@pytest.fixture
def made_new(empty_sweep):
    """A searcher over the same study, opened again."""
    folder = SweepFolder(empty_sweep.folder)
    return lambda: StudySearcher(empty_sweep.study(), empty_sweep.plan, folder)


def test_it_ends_when_the_study_has_all_its_trials(searcher, empty_sweep):
    names = [f"tune-{number}" for number in range(empty_sweep.plan.trials)]
    assert all(isinstance(searcher.suggest(name), dict) for name in names)
    assert searcher.suggest("tune-9") is None, "one that pauses may have to go on"
    for name in names:
        searcher.on_trial_complete(name, result(1, done=True, state="complete"))
    assert searcher.suggest("tune-9") == Searcher.FINISHED


def test_metrics_and_notes_are_kept_and_what_tune_adds_is_not():
    assert metrics_of(Line.of(result(1, notes=["a note"]))) == {
        "valid_top1": 0.5,
        "train_loss": 1.0,
        "notes": ["a note"],
    }


def test_a_trial_that_came_to_its_end_is_complete_with_its_best_value(searcher, study):
    key = searcher.suggest("tune-1")["trial_key"]
    study.report(key, 1, metrics_of(Line.of(result(1, valid_top1=0.75))))
    last = result(2, done=True, state="complete", best_valid_top1=0.75, test_top1=0.625)
    searcher.on_trial_complete("tune-1", last)
    record = study.records[key]
    assert (record.state, record.epoch, record.value) == (State.COMPLETE, 2, 0.75)
    assert record.metrics["test_top1"] == 0.625


@pytest.mark.parametrize("state", ["failed", "infeasible"])
def test_a_trial_that_ended_itself_has_its_reason(searcher, study, state):
    key = searcher.suggest("tune-1")["trial_key"]
    last = {"epoch": 1, "done": True, "state": state, "reason": "out of memory in epoch 1"}
    searcher.on_trial_complete("tune-1", last)
    record = study.records[key]
    assert (record.state, record.reason) == (State(state), "out of memory in epoch 1")
    assert record.value is None


def test_a_trial_that_was_stopped_stays_stopped(searcher, study):
    """Tune says a trial that the scheduler ended is complete; the study knows better."""
    key = searcher.suggest("tune-1")["trial_key"]
    study.report(key, 1, metrics_of(Line.of(result(1))))
    study.finish(key, State.STOPPED, "stopped after epoch 1")
    searcher.on_trial_complete("tune-1", result(1))
    record = study.records[key]
    assert (record.state, record.reason) == (State.STOPPED, "stopped after epoch 1")


@pytest.fixture
def pausing(empty_sweep):
    plan = dataclasses.replace(empty_sweep.plan, trials=2, pruner="pause-halving")
    empty_sweep.plan = plan
    study = empty_sweep.study()
    return study, StudySearcher(study, plan, SweepFolder(empty_sweep.folder))


def test_a_paused_trial_goes_on_as_another_trial_of_tune(pausing, empty_sweep):
    study, searcher = pausing
    first, second = (searcher.suggest(f"tune-{number}")["trial_key"] for number in (1, 2))
    assert study.report(first, 1, metrics_of(Line.of(result(1, valid_top1=0.75))))
    searcher.on_trial_complete("tune-1", result(1, valid_top1=0.75))
    assert study.records[first].state == State.PAUSED, "its end for Tune is none for the study"
    assert searcher.suggest("tune-3") is None, "nothing may go on yet, and something still runs"
    study.report(second, 1, metrics_of(Line.of(result(1))))
    config = searcher.suggest("tune-4")
    assert (config["trial_key"], config["known_epoch"]) == (first, 1), "it trains from epoch 2"
    assert config["directory"] == str(empty_sweep.folder / "trials" / first)
    study.report(first, 2, metrics_of(Line.of(result(2))))
    last = result(3, done=True, state="complete", best_valid_top1=0.75)
    searcher.on_trial_complete("tune-4", last)
    assert study.records[first].state == State.COMPLETE
    assert searcher.suggest("tune-5") == Searcher.FINISHED
    assert study.records[second].state == State.STOPPED


def test_a_trial_that_was_cut_off_after_its_pause_says_its_last_epoch_again(pausing, empty_sweep):
    study, searcher = pausing
    keys = [searcher.suggest(f"tune-{number}")["trial_key"] for number in (1, 2)]
    for key in keys:
        study.report(key, 1, metrics_of(Line.of(result(1))))
    key = searcher.suggest("tune-3")["trial_key"]
    again = StudySearcher(empty_sweep.study(), empty_sweep.plan, SweepFolder(empty_sweep.folder))
    config = again.suggest("tune-1")
    assert (config["trial_key"], config["known_epoch"]) == (key, 1), "nothing new was said"
    study.report(key, 2, metrics_of(Line.of(result(2))))
    again = StudySearcher(empty_sweep.study(), empty_sweep.plan, SweepFolder(empty_sweep.folder))
    config = again.suggest("tune-1")
    assert (config["trial_key"], config["known_epoch"]) == (key, 1), "epoch 2 is said again"


@pytest.mark.parametrize("said", [{"error": True, "result": result(1)}, {"result": None}])
def test_an_error_is_left_to_the_scheduler(searcher, study, said):
    key = searcher.suggest("tune-1")["trial_key"]
    searcher.on_trial_complete("tune-1", **said)
    assert study.records[key].state == State.RUNNING


def test_tune_pickles_nothing_of_it(searcher):
    searcher.suggest("tune-1")
    assert vars(pickle.loads(pickle.dumps(searcher))) == {}
