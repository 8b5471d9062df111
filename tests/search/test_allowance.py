"""What ends a sweep: trials, epochs, a value that is reached, time; and what runs then."""

import pytest

from search.record import State
from search.sampling import create
from search.study import SweepStudy
from spaces.space import Real, Space

SPACE = Space(params={"x": Real(0.0, 1.0)})
EPOCHS = 9


def opened(storage=None, **more):
    directions = more.pop("directions", {"score": "max"})
    stored = create("sweep", directions, storage)
    more = {"sampler": "random", "pruner": "none", "max_epochs": EPOCHS} | more
    return SweepStudy(stored, SPACE, directions=directions, **more)


def epoch(study, record, value):
    """One more epoch; whether the trial ends with it, for now or for good."""
    number = record.epoch + 1
    ends = study.report(record.key, number, {"score": value})
    if number == EPOCHS:
        study.finish(record.key, State.COMPLETE, metrics={"score": value})
        return True
    return ends


def to_the_end(study, value):
    while (record := study.next()) is not None:
        while not epoch(study, record, value(record)):
            pass


def test_what_reaches_the_target_is_trained_to_its_end_and_others_are_not():
    study = opened(target=0.9, sampler="freeze-thaw", pruner=None)
    first, second = study.next(), study.next()
    assert epoch(study, first, 0.95) is False, "it does not pause at a rung"
    assert epoch(study, second, 0.5) is True
    assert (second.state, second.reason) == (
        State.STOPPED,
        "ended after epoch 1: the target is reached",
    )
    assert study.next() is None
    assert not any(epoch(study, first, 0.1) for _ in range(EPOCHS - 2))
    epoch(study, first, 0.1)
    assert first.state == State.COMPLETE
    assert study.next() is None
    assert not study.unfinished
    assert study.ended == "the target is reached"


def test_a_target_that_shall_be_small():
    study = opened(target=0.2, directions={"score": "min"})
    record = study.next()
    epoch(study, record, 0.3)
    assert not study.ended
    epoch(study, record, 0.2)
    assert study.ended == "the target is reached"


def test_when_time_is_up_all_trials_end_with_their_epoch():
    said = [""]
    study = opened(clocks=[lambda: said[0]])
    first, second = study.next(), study.next()
    assert not epoch(study, first, 0.5)
    said[0] = "the 2 h of the sweep are over"
    assert epoch(study, second, 0.6)
    assert epoch(study, first, 0.7)
    assert first.reason == "ended after epoch 2: the 2 h of the sweep are over"
    assert study.next() is None
    assert (study.unfinished, study.gave_up) == (False, "")
    said[0] = ""  # a larger budget
    assert study.unfinished
    assert study.next().number == 2


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"trials": 3}, "all 3 trials have ended"),
        ({"epochs": 20}, "the 20 epochs of the sweep are trained"),
    ],
)
def test_trials_and_epochs(limits, said):
    study = opened(**limits)
    to_the_end(study, lambda record: record.params["x"])
    assert len(study.accepted) == 3
    assert study.ended == said
    assert not study.unfinished
