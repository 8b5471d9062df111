"""A finite space that was tried to its end is not begun again."""

import optuna
import pytest

from search import exhaustion
from search.record import State
from search.study import SweepStudy
from spaces.space import Integer, Space

SPACE = Space(params={"depth": Integer(1, 4)})


@pytest.fixture
def stored():
    return optuna.create_study(direction="maximize")


def opened(stored):
    study = SweepStudy(stored, SPACE, directions={"score": "max"}, max_epochs=3, trials=10)
    exhaustion.recall(stored, study)
    return study


def test_a_space_that_was_tried_to_its_end_is_known_when_it_is_opened_again(stored):
    study = opened(stored)
    while record := study.next():
        exhaustion.note(stored, study)
        assert not opened(stored).exhausted
        study.finish(record.key, State.COMPLETE, metrics={"score": 0.5})
    exhaustion.note(stored, study)
    again = opened(stored)
    assert again.exhausted
    assert again.gave_up == study.gave_up == "every configuration was tried: 4"
    assert not again.unfinished
    assert len(stored.trials) == len(opened(stored)._study.trials), "nothing is asked for that"


def test_an_unfinished_trial_is_gone_on_with(stored):
    study = opened(stored)
    *_, last = iter(study.next, None)
    exhaustion.note(stored, study)
    assert not study.exhausted, "what runs may pause, and go on"
    again = opened(stored)
    assert not again.exhausted
    assert again.unfinished
    assert last.state == State.RUNNING
