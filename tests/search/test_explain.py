"""A trial's suggestion, pauses and end, in words."""

import dataclasses

import pytest

from search import explain
from search.lock import held
from search.record import State
from search.samplers import DEFAULT
from search.sweep_folder import SweepFolder


@pytest.fixture
def paused_sweep(empty_sweep):
    """A sweep of eight trials by the default sampler, trained to its end."""
    plan = dataclasses.replace(empty_sweep.plan, sampler=DEFAULT, pruner=None, trials=8)
    plan.save(empty_sweep.folder / "plan.json")
    empty_sweep.plan = plan
    study = empty_sweep.study()
    while (record := study.next()) is not None:
        for epoch in range(record.epoch + 1, plan.epochs + 1):
            metrics = {"valid_top1": 0.5 + 0.03 * record.number + 0.01 * epoch}
            if study.report(record.key, epoch, metrics):
                break
            if epoch == plan.epochs:
                study.finish(record.key, State.COMPLETE, metrics=metrics)
    empty_sweep.before = study
    return empty_sweep


def said(made, *arguments):
    return explain.main([made.plan.sweep, *arguments, "--home", str(made.home)])


@pytest.mark.slow
def test_a_trial_that_went_on_is_explained(paused_sweep, capsys):
    records = paused_sweep.before.accepted
    record = next(r for r in records if r.state == State.COMPLETE and r.number < 6)
    assert said(paused_sweep, record.key) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert lines[0].startswith(f"{record.key}: depth=")
    first, second = record.decisions[:2]
    assert lines[1] == f"suggested by decision {first['number']}"
    assert lines[2] == "because: far from all before it"
    went_on = lines.index(f"paused after epoch 1, went on by decision {second['number']}")
    expected = -100 * second["why"]["expected"][0]
    assert lines[went_on + 1] == f"because: {second['why']['because']}"
    assert lines[went_on + 2].startswith(f"expected in the end: {expected:.2f} %, give or take ")
    assert lines[went_on + 3] == f"compared: {second['why']['compared']}"
    begun = [r for r in records if r.decisions[0]["number"] < second["number"]]
    known = max(r.curve[1][0] for r in begun)
    assert lines[went_on + 4].startswith("the best then: ")
    best = float(lines[went_on + 4].split()[3])
    assert best >= 100 * known - 0.005
    assert lines[-1] == f"complete at epoch 3, {100 * record.value:.2f} %"


def test_a_trial_that_was_left_paused_is_explained(paused_sweep, capsys):
    record = next(r for r in paused_sweep.before.accepted if r.state == State.STOPPED)
    assert said(paused_sweep, str(record.number)) == 0
    told = capsys.readouterr().out
    assert "stopped at epoch 1" in told
    assert "paused after epoch 1, and others were worth more" in told


@pytest.mark.slow
def test_the_best_is_that_of_its_time(paused_sweep):
    study = paused_sweep.study()
    assert explain.best_at(study, paused_sweep.plan, 0) is None, (
        "nothing was known at the first decision"
    )
    known = [explain.best_at(study, paused_sweep.plan, number) for number in range(1, 8)]
    values = [best[1] for best in known if best]
    assert values == sorted(values)
    assert values[0] == 0.51


def test_a_trial_of_an_earlier_version(whole_sweep, capsys):
    whole_sweep.before = study = whole_sweep.study()
    record = study.accepted[0]
    record.decisions = []
    lines = list(explain.explained(study, record, whole_sweep.plan))
    assert "nothing is noted of its suggestion" in lines[1]
    assert said(whole_sweep, record.key) == 0
    assert "because: random" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["00099", "abc", ""])
def test_an_unknown_trial(whole_sweep, capsys, name):
    assert said(whole_sweep, name) == 2
    assert "called" in capsys.readouterr().err


def test_an_unknown_sweep_and_one_in_use(whole_sweep, capsys):
    assert explain.main(["smal", "0", "--home", str(whole_sweep.home)]) == 2
    assert "did you mean 'small'" in capsys.readouterr().err
    with held(SweepFolder(whole_sweep.folder)):
        assert said(whole_sweep, "0") == 3
    (whole_sweep.folder / "study.db").unlink()
    assert said(whole_sweep, "0") == 6
