"""How far sweeps are, told without a change to them."""

import shutil

import pytest

from search import lock, status
from search.record import State
from search.sweep_folder import SweepFolder
from trainables.home import Home


def said(home, *sweeps):
    return status.main([*sweeps, "--home", str(home)])


def files(home):
    """When each was changed last, but for the index of SQLite's log, which readers share."""
    found = (path for path in home.rglob("*") if path.is_file() and path.suffix != ".db-shm")
    return {path: path.stat().st_mtime_ns for path in found}


def test_a_sweep_that_has_ended(whole_sweep, capsys):
    before = files(whole_sweep.home)
    assert said(whole_sweep.home) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "small: linformer on tiny at 56 px"
    assert told[1] == "  driver  none is at work"
    assert told[2] == "  trials  4 of 4: 1 complete, 1 stopped, 1 failed, 1 infeasible"
    assert told[3].startswith("  epochs  5, the last at 2023-11-1")
    assert told[4].startswith("  best    75.00 %, complete 00000-")
    assert told[5].startswith("  time    0 min 10 s ")
    assert "best weights 1." in told[6]
    assert files(whole_sweep.home) == before, "nothing is changed"


def test_a_sweep_that_is_at_work(trained_sweep, hold_lock, capsys):
    trained_sweep.train(trained_sweep.study(), [0.25], State.RUNNING)
    owner = hold_lock(trained_sweep.folder)
    assert said(trained_sweep.home, "small") == 0
    told = capsys.readouterr().out
    assert f"process {owner.pid} on " in told
    assert "2 of 4: 1 running, 1 complete" in told
    owner.kill()
    owner.wait()
    assert said(trained_sweep.home, "small") == 0
    told = capsys.readouterr().out
    assert "none is at work" in told
    assert "1 interrupted, 1 complete" in told


def test_a_look_at_the_lock_takes_nothing(tmp_path):
    folder = SweepFolder(tmp_path)
    assert lock.owner(folder) is None
    with lock.held(folder):
        found = lock.owner(folder)
        assert found is not None
        assert found.keys() == {"pid", "host", "since"}
        assert lock.owner(folder) == found
    assert lock.owner(folder) is None


def test_before_the_first_epoch(empty_sweep, capsys):
    empty_sweep.study()
    assert said(empty_sweep.home) == 0
    told = capsys.readouterr().out
    assert "trials  0 of 4\n" in told
    assert "epochs  0\n" in told
    assert "no epoch has ended yet" in told


def test_one_that_cannot_be_read_does_not_hide_the_others(whole_sweep, capsys):
    shutil.copytree(whole_sweep.folder, whole_sweep.home / "broken")
    (whole_sweep.home / "broken" / "plan.json").write_text("{")
    assert said(whole_sweep.home) == 6
    captured = capsys.readouterr()
    assert "broken/plan.json cannot be read" in captured.err
    assert "small: linformer on tiny" in captured.out


def test_an_unknown_sweep(whole_sweep, capsys):
    assert said(whole_sweep.home, "smal") == 2
    assert "no sweep 'smal'" in capsys.readouterr().err


@pytest.mark.parametrize("part", ["trials", "reports"])
def test_what_is_used_is_told_by_kind(whole_sweep, part):
    home, place = Home(whole_sweep.home), whole_sweep.folder
    before = status.used(home, "small")
    if part == "trials":
        key = next(iter((place / "trials").iterdir()))
        (key / "checkpoints" / "epoch-00001").mkdir(parents=True)
        (key / "checkpoints" / "epoch-00001" / "state.pt").write_bytes(bytes(5000))
        grown = {"commits": 5000}
    else:
        home.reports.joinpath("small").mkdir(parents=True)
        (home.reports / "small" / "report.html").write_bytes(bytes(700))
        grown = {"report": 700}
    after = status.used(home, "small")
    assert {n: after[n] - before[n] for n in after if after[n] != before[n]} == grown
