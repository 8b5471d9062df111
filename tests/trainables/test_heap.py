"""Freed memory: kept for a training, given back, and counted for what it is by a measurement."""

import subprocess
import sys

import pytest

PROGRAM = """
import psutil, sys, torch
from trainables.efficiency.resident import resident_rise_bytes
from trainables.heap import give_back, keep_freed

def resident_mib():
    return psutil.Process().memory_info().rss / 2**20

MIB = 200
if sys.argv[1] == "keep":
    keep_freed()
before = resident_mib()
for _ in range(3):
    torch.ones(MIB * 2**18)
kept = resident_mib() - before
give_back()
left = resident_mib() - before
rise = resident_rise_bytes(lambda: torch.ones(MIB * 2**18), lambda: None) / 2**20
print(kept, left, rise)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is that of Linux")
@pytest.mark.parametrize("way", ["keep", pytest.param("leave", marks=pytest.mark.slow)])
def test_freed_memory_is_kept_until_it_is_given_back(way):
    command = [sys.executable, "-c", PROGRAM, way]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    kept, left, rise = map(float, answer.stdout.split())
    assert (kept > 150) == (way == "keep")
    assert left < 20
    assert rise == pytest.approx(200, abs=5)
