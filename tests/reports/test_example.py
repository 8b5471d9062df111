"""The example that reads a report's Parquet, on the Parquet of a report."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_front_is_read_from_the_parquet(report):
    done = subprocess.run(
        [sys.executable, "examples/read_a_sweep.py", str(report.parent)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *table, last = done.stdout.splitlines()
    assert first == "8 trials, 4 of them complete; on the front:"
    keys = [row.split()[0] for row in table[1:]]
    assert keys == ["t-fast", "t-best"]  # each cheaper than those that are better
    assert last.startswith("median of the last training loss: ")
