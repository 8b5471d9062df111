"""The best trials once more with other seeds, and what is told apart of them."""

import math

import pytest

from search.record import Record, State
from search.repeats import BEST, repeated
from search.sampling import create
from tests.search.test_allowance import epoch, opened, to_the_end


def by_seed(record):
    """A value that depends on the configuration and a little on the seed."""
    return record.params["x"] + 0.01 * (record.seed or 0)


def test_the_best_are_repeated_after_the_search():
    study = opened(trials=5, repeats=3, seed=7)
    to_the_end(study, by_seed)
    first, again = study.accepted[:5], study.accepted[5:]
    assert not any(record.repeat_of for record in first)
    ranked = sorted(first, key=lambda record: -record.params["x"])
    expected = [(record.key, seed) for record in ranked[:BEST] for seed in (8, 9)]
    assert [(record.repeat_of, record.seed) for record in again] == expected
    originals = {record.key: record.params for record in first}
    assert all(record.params == originals[record.repeat_of] for record in again)
    assert all(record.key.partition("-")[2] == record.hash[:8] for record in again)
    assert len({record.hash for record in study.accepted}) == 11
    assert not study.unfinished


def test_several_are_repeated_at_a_time():
    study = opened(trials=2, repeats=2)
    first, second = study.next(), study.next()
    while not epoch(study, first, 0.5):
        pass
    assert study.next() is None, "the best are not known while a trial runs"
    while not epoch(study, second, 0.4):
        pass
    assert [study.next().repeat_of for _ in range(2)] == [first.key, second.key]
    assert study.next() is None
    assert study.unfinished


def test_a_repeat_that_was_interrupted_goes_on():
    storage = create("sweep", {"score": "max"}, None)._storage
    study = opened(storage, trials=2, repeats=2)
    while not (record := study.next()).repeat_of:
        while not epoch(study, record, by_seed(record)):
            pass
    epoch(study, record, 0.5)
    again = opened(storage, trials=2, repeats=2)
    resumed = again.next()
    assert (resumed.key, resumed.seed, resumed.epoch) == (record.key, record.seed, 1)
    to_the_end(again, by_seed)
    assert [r.key for r in again.accepted if r.repeat_of == record.repeat_of] == [record.key]


def test_more_trials_and_repeats_extend_a_sweep():
    storage = create("sweep", {"score": "max"}, None)._storage
    to_the_end(opened(storage, trials=2, repeats=2), by_seed)
    study = opened(storage, trials=4, repeats=2)
    assert study.unfinished
    to_the_end(study, by_seed)
    assert sum(not record.repeat_of for record in study.accepted) == 4


def records(*values_of):
    """One configuration for each tuple of values, the first of its original trial."""
    found = []
    for values in values_of:
        key = f"{len(found):05d}"
        for place, value in enumerate(values):
            record = Record(len(found), f"{len(found):05d}", {}, State.COMPLETE, value=value)
            record.repeat_of = key if place else ""
            found.append(record)
    return found


def test_what_noise_explains_is_a_tie():
    """By hand: pooled deviation .01, 6 degrees of freedom, so 2.447 * .01 * sqrt(2/3) = .01998."""
    best, tie, worse = (0.90, 0.91, 0.92), (0.881, 0.891, 0.901), (0.879, 0.889, 0.899)
    found = repeated(records(worse, best, tie, (0.95,)), "max")
    assert [round(one.mean, 6) for one in found] == [0.91, 0.891, 0.889]
    assert [round(one.deviation, 6) for one in found] == [0.01] * 3
    assert [one.tie for one in found] == [True, True, False]


def test_the_smallest_mean_may_be_the_best():
    found = repeated(records((0.3, 0.31), (0.1, 0.11)), "min")
    assert found[0].values == (0.1, 0.11)
    assert found[1].tie is False


@pytest.mark.parametrize("values", [[], [(0.5,)], [(0.5,), (0.6,)]])
def test_without_repeats_nothing_is_told_apart(values):
    assert repeated(records(*values), "max") == []


def test_a_training_that_failed_is_no_value():
    made = records((0.5, 0.6, 0.7))
    made[1].state = State.FAILED
    (found,) = repeated(made, "max")
    assert found.values == (0.5, 0.7)
    assert math.isclose(found.mean, 0.6)
