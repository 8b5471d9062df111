"""The examples run as they are, and are short enough to be read."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def said_by(example: str, *arguments: object) -> str:
    """What an example prints when it is run from the checkout."""
    command = [sys.executable, f"examples/{example}.py", *map(str, arguments)]
    paths = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | paths, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_four_and_each_is_short():
    assert len(EXAMPLES) == 4
    assert all(len(path.read_text().splitlines()) <= 40 for path in EXAMPLES)


@pytest.mark.slow
def test_a_search_from_python_finds_a_good_network():
    told = said_by("search_from_python")
    assert "60 epochs" in told
    assert float(told.split()[-2]) < 10


@pytest.mark.slow
def test_a_model_of_ones_own_is_measured():
    told = said_by("measure_your_model")
    assert "20,714 parameters" in told
    assert "throughput_images_per_s: " in told
    assert "operators without a rule: none" in told


@pytest.mark.ray
@pytest.mark.timeout(1800)
def test_a_sweep_from_python_is_run_and_extended(tmp_path):
    told = said_by("run_a_sweep", tmp_path / "home").splitlines()
    assert "logits of an image: (1, 10)" in told
    assert any(line.endswith(" complete") or " complete after 3 epochs" in line for line in told)
    assert told[-1].startswith("4 trials now, the best ")
