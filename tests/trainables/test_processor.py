"""The processor's name and usable cores, on systems that tell them and on those that do not."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from trainables import processor


def test_the_name_says_something():
    assert processor.name().strip()


def test_a_system_without_a_list_of_processors_has_a_name(monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert processor.name().strip()


@pytest.mark.skipif(sys.platform != "linux", reason="restricts a process as Linux does")
def test_only_usable_cores_count():
    cores = os.sched_getaffinity(0)
    assert set(processor.usable_cores()) == cores
    os.sched_setaffinity(0, {max(cores)})
    try:
        assert processor.usable_cores() == [max(cores)]
    finally:
        os.sched_setaffinity(0, cores)


def test_where_nobody_is_restricted_all_cores_are_usable(monkeypatch):
    monkeypatch.setattr(psutil, "Process", object)
    assert processor.usable_cores() == list(range(os.cpu_count() or 1))
