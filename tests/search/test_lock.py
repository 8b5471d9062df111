"""One driver a sweep."""

import os
import re

import pytest

from search import lock
from search.sweep_folder import SweepFolder


def test_held_and_given_back(tmp_path):
    folder = tmp_path / "home" / "sweep"
    for _ in range(2):
        with lock.held(SweepFolder(folder)):
            assert f'"pid": {os.getpid()}' in (folder / "lock").read_text()


def test_given_back_after_an_error(tmp_path):
    with pytest.raises(RuntimeError, match="inside"), lock.held(SweepFolder(tmp_path)):
        raise RuntimeError("inside")
    with lock.held(SweepFolder(tmp_path)):
        pass


def test_refused_while_another_process_lives_and_free_after_its_death(tmp_path, hold_lock):
    folder = tmp_path / "mysweep"
    owner = hold_lock(folder)
    for _ in range(2):  # being refused leaves the owner's name where it is
        with pytest.raises(lock.SweepLockedError) as caught, lock.held(SweepFolder(folder)):
            pytest.fail("two drivers hold the lock")
        assert "'mysweep' is in use" in str(caught.value)
        assert re.search(rf'"pid": {owner.pid}\b', str(caught.value))
    owner.kill()
    owner.wait()
    with lock.held(SweepFolder(folder)):
        text = (folder / "lock").read_text()
        assert f'"pid": {os.getpid()}' in text
        assert str(owner.pid) not in re.findall(r"\d+", text)


def test_sweeps_do_not_exclude_each_other(tmp_path, hold_lock):
    hold_lock(tmp_path / "one")
    with lock.held(SweepFolder(tmp_path / "two")):
        pass
