"""A load that is planted beside a measuring is in its row; without one the row is clean."""

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psutil
import pytest
from rich.console import Console

from search.cost_table import shown
from trainables.efficiency import fresh, measure_fresh
from trainables.efficiency.execution import Setting
from trainables.efficiency.repeats import Conditions, measure_repeatedly
from trainables.efficiency.results import Results
from trainables.efficiency.subjects import Subject

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
SUBJECT = Subject(
    model="vit",
    params={"depth": 1, "dim": 8, "heads": 1, "patch": 7},
    image_size=14,
    num_classes=3,
    label="a tiny ViT",
)
CONDITIONS = Conditions(device="cpu: this one", threads=1, timing_seconds=1.0, versions={})
FOOTNOTE = "measured while other programs used the machine"
QUIET_CORES = 0.1  # less than half of what disturbs
# the measuring command, which says when it has come to the throughput and waits there
HALFWAY = """
import pathlib, time
from trainables.efficiency import __main__ as command, bench

folder, throughput = pathlib.Path({folder!r}), bench.Bench.throughput

def halfway(*arguments):
    (folder / "halfway").touch()
    while not (folder / "planted").exists():
        time.sleep(0.01)
    return throughput(*arguments)

bench.Bench.throughput = halfway
command.main()
"""


@contextmanager
def load():
    """A process a core, each of which computes until it is ended here, or this one is gone."""
    code = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"
    started = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(CORES)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def row(folder):
    results = Results(folder)
    measure_repeatedly(
        [SUBJECT], results, measure_fresh, CONDITIONS, settings=[Setting()], repeats=1
    )
    found = results.get(CONDITIONS.of(SUBJECT, Setting()))
    assert found["reasons"].keys().isdisjoint({"everything", "other_load"})
    return found


def printed(found):
    console = Console(width=120)
    with console.capture() as captured:
        console.print(shown([found], 120))
    return captured.get()


def busy_cores():
    """How many cores are busy over a second in which this process does nothing."""
    return psutil.cpu_percent(interval=1) / 100 * psutil.cpu_count()


@pytest.mark.slow
@pytest.mark.alone
def test_a_planted_load_is_in_the_row_and_under_the_printed_table(tmp_path):
    with load():
        found = row(tmp_path)
    assert found["other_load"] is True
    assert found["other_busy_cores"] > 0.25
    assert FOOTNOTE in printed(found)
    assert found["device_load_average"]


@pytest.mark.slow
@pytest.mark.alone
def test_a_load_that_starts_halfway_is_in_the_row(tmp_path, monkeypatch):
    source = HALFWAY.format(folder=str(tmp_path))
    monkeypatch.setattr(fresh, "_COMMAND", (sys.executable, "-c", source))
    with ThreadPoolExecutor(1) as beside:
        measured = beside.submit(row, tmp_path)
        while not (tmp_path / "halfway").exists():
            assert not measured.done(), measured.result()
            time.sleep(0.01)
        with load():
            (tmp_path / "planted").touch()
            assert measured.result()["other_load"] is True


@pytest.mark.slow
@pytest.mark.alone
def test_without_a_load_the_row_is_clean(tmp_path):
    if busy_cores() > QUIET_CORES:
        pytest.skip("other programs use this machine")
    found = row(tmp_path)
    if found["other_load"] and busy_cores() > QUIET_CORES:
        pytest.skip("other programs used this machine meanwhile")
    assert found["other_load"] is False
    assert FOOTNOTE not in printed(found)
