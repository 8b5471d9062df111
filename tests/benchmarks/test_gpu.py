"""The script for the day a GPU is at hand imports on a bare machine, and nothing silly breaks."""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from tests.benchmarks import gpu
from tests.benchmarks.gpu_claims.claim import TABLE, TOLD, Ledger, Scale

ROOT = Path(__file__).parents[2]
BARE = """
import importlib, pathlib, sys
for missing in ("ray", "optuna", "mlflow", "fvcore"):
    sys.modules[missing] = None  # an import of it fails
import tests.benchmarks.gpu as script
for name in script.PARTS:
    importlib.import_module(f"tests.benchmarks.gpu_claims.{name}")
from trainables import models
for name in models.names():
    models.kinds(name)
marked = [p for p in pathlib.Path("tests").rglob("test_*.py") if "mark.gpu" in p.read_text()]
for path in marked:
    if path != pathlib.Path("tests/benchmarks/test_gpu.py"):
        importlib.import_module(".".join(path.with_suffix("").parts))
print(len(marked))
"""


@pytest.mark.slow
def test_everything_imports_without_ray_optuna_mlflow_and_fvcore():
    done = subprocess.run(
        [sys.executable, "-c", BARE], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 4


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    made = Ledger(tmp_path)
    made.begin("a card")
    return made


def told(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / TOLD).read_text().splitlines()]


def test_a_part_that_fails_is_noted_with_what_it_found_and_its_traceback(
    monkeypatch, ledger, tmp_path
):
    def run(_scale, tell):
        tell("first | row", "1 ms", seconds=1e-3)
        raise RuntimeError("no kernel image")

    monkeypatch.setattr(gpu.importlib, "import_module", lambda _name: SimpleNamespace(run=run))
    scale = Scale(torch.device("cpu"), True, tmp_path)
    assert gpu.run_part("energy", scale, ledger) == 1
    first, failed = told(tmp_path)
    assert first["seconds"] == 1e-3
    assert failed["result"] == "RuntimeError: no kernel image"
    assert "in run" in failed["traceback"]
    assert r"| energy | first \| row | 1 ms |" in (tmp_path / TABLE).read_text()


def test_a_part_ends_at_its_limit(ledger, tmp_path):
    given = argparse.Namespace(out=tmp_path, rehearse=True, scratch=tmp_path)
    assert not gpu.run_apart("marked_tests", given, 0.1, ledger)
    assert "at its limit of 0 s" in told(tmp_path)[-1]["result"]


@pytest.mark.slow
def test_the_rehearsal_runs_every_part_to_its_end(tmp_path):
    command = [sys.executable, "-m", "tests.benchmarks.gpu", "--rehearse", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + (tmp_path / gpu.LOG).read_text()
    found = told(tmp_path)
    assert [line["part"] for line in found if line["what"] == "whole part"] == list(gpu.PARTS)
    assert not [line for line in found if line["result"].startswith(("failed", "DIFFERS"))]
