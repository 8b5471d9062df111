"""A sweep ends by itself when what is left to gain is less than the noise, and not before."""

import math

import pytest

from search import simulate
from search.record import State
from search.samplers.settled import DECISIONS, IN_NOISE, Settling
from search.sampling import create
from search.study import SweepStudy
from spaces.space import Integer, Real, Space

SPACE = Space(params={"x": Real(0, 1), "n": Integer(1, 8)})
DIRECTIONS = {"y": "min"}


def value(params, epoch):
    """A bowl with a little noise that always is the same."""
    noise = 0.01 * math.sin(1e4 * params["x"] + 37 * params["n"] + epoch)
    return (params["x"] - 0.3) ** 2 + (params["n"] - 5) ** 2 / 50 + 1 / epoch**2 + noise


def run(**changes):
    settings = {"directions": DIRECTIONS, "max_epochs": 9, "budget_epochs": 250, "workers": 1}
    made = changes.pop("objective", lambda params, epoch: {"y": value(params, epoch)})
    return simulate(made, SPACE, **(settings | changes)).history


def opened(storage, **settings):
    study = create("sweep", DIRECTIONS, storage)
    return SweepStudy(study, SPACE, directions=DIRECTIONS, max_epochs=9, **settings)


def train(study, acts=150):
    """One trial after the other; returns the configurations in order."""
    order = []
    while len(order) < acts and (record := study.next()) is not None:
        order.append((record.key, record.epoch))
        for epoch in range(record.epoch + 1, 10):
            told = {"y": value(record.params, epoch)}
            if study.report(record.key, epoch, told):
                break
            if epoch == 9:
                study.finish(record.key, State.COMPLETE, metrics=told)
    return order


def settling(gains):
    found = Settling()
    for gain in gains:
        found.follow({} if gain is None else {IN_NOISE: gain})
    return found.settled


SMALL = 0.9 / DECISIONS


@pytest.mark.parametrize(
    ("gains", "wanted"),
    [
        ([], False),
        ([SMALL] * (DECISIONS - 1), False),
        ([SMALL] * DECISIONS, True),
        ([None, SMALL] * DECISIONS, True),
        ([9.0] + [SMALL] * DECISIONS, True),
        ([SMALL] * DECISIONS + [1.1 / DECISIONS], False),
        ([1.1 / DECISIONS] * 50, False),
    ],
)
def test_so_many_decisions_in_a_row_expect_little(gains, wanted):
    assert settling(gains) is wanted


@pytest.mark.slow
def test_it_ends_with_the_best_and_is_until_then_as_it_would_be():
    whole, ended = run(), run(until_settled=True)
    assert len(ended) < 0.8 * len(whole)
    assert ended == whole[: len(ended)]
    best, found = (
        min(row.metrics["y"] for row in rows if row.epoch == 9) for rows in (whole, ended)
    )
    assert found < best + 0.02


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_sampler_that_expects_nothing_never_settles(sampler):
    assert len(run(until_settled=True, sampler=sampler, budget_epochs=60)) == 60


@pytest.mark.slow
def test_two_objectives_settle_too():
    def known(params):
        return float(params["n"])

    history = run(
        objective=lambda params, epoch: {"y": value(params, epoch), "n": params["n"]},
        directions={"y": "min", "n": "min"},
        known={"n": known},
        until_settled=True,
        budget_epochs=400,
    )
    assert 60 < len(history) < 400


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    url = f"sqlite:///{tmp_path_factory.mktemp('settled')}/study.db"
    study = opened(url, until_settled=True)
    return url, study, train(study)


@pytest.mark.slow
def test_a_settled_sweep_is_finished_also_when_it_is_opened_again(unbroken):
    url, study, order = unbroken
    assert len(order) > 20
    assert "less than the noise" in study.ended
    assert not study.unfinished
    assert not study.exhausted
    assert State.PAUSED not in {record.state for record in study.accepted}
    again = opened(url, until_settled=True)
    assert not again.unfinished
    assert again.next() is None
    assert again.ended == study.ended
    longer = opened(url)
    assert longer.unfinished, "without the flag there is more to do"


@pytest.mark.slow
def test_resumed_it_settles_where_the_unbroken_one_does(unbroken, tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    cuts = (3, 30, math.inf)
    order = [each for cut in cuts for each in train(opened(url, until_settled=True), min(cut, 150))]
    assert order == unbroken[2]
