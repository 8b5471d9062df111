"""The counted costs of the published columns: complete, and what the models cost today."""

import csv

import pytest

import spaces
from spaces.published import FOLDER, GalaxyRun, galaxy_gflops, galaxy_runs
from trainables import models
from trainables.efficiency import count

with (FOLDER / "galaxy_costs.csv").open(newline="", encoding="utf-8") as lines:
    ROWS = {row["address"]: row for row in csv.DictReader(lines)}
RUNS = {
    run.address: run
    for run in galaxy_runs()
    if run.model in ("vit", "linformer") and not run.duplicate_of
}
# few patches and many, shared keys and values, more keys than tokens
HANDFUL = ("T4:110421", "T9:121021", "T9:122921", "T12:010522B")


def holds(run: GalaxyRun) -> None:
    params = models.published(run.model)[run.run_id]
    model = models.build(run.model, params, image_size=224, num_classes=8)
    counted, row = count(model, 224), ROWS[run.address]
    assert counted.uncounted == {}
    assert (row["gflops"], row["gmacs"]) == (f"{counted.gflops:.6f}", f"{counted.gmacs:.6f}")


def test_every_distinct_column_has_its_costs_in_order():
    assert list(ROWS) == list(RUNS)
    assert len(ROWS) == 50
    assert all(0 < float(row["gmacs"]) < float(row["gflops"]) for row in ROWS.values())


@pytest.mark.parametrize("address", HANDFUL)
def test_costs_are_counted(address):
    holds(RUNS[f"galaxy_runs.csv#{address}"])


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS.values(), ids=lambda run: f"{run.table}-{run.run_id}")
def test_all_costs_are_counted(run):
    holds(run)


@pytest.mark.parametrize("name", ["vit", "linformer"])
def test_points_carry_them(name):
    for point in spaces.load(name).published:
        assert point.results["gflops"] == galaxy_gflops()[point.address]
        assert point.results["gflops"] == float(ROWS[point.address]["gflops"])


def test_costs_worked_out_by_hand():
    """T1:102721: 12 layers of 512-wide heads on width 256 and 196 patches and a class token."""
    layer = 197 * (4 * 256 * 512 + 2 * 256 * 64) + 2 * 197**2 * 512
    patches, head = 196 * 3 * 16**2 * 256, 256 * 8
    macs = 12 * layer + patches + head
    assert ROWS["galaxy_runs.csv#T1:102721"]["gmacs"] == f"{macs / 1e9:.6f}"
