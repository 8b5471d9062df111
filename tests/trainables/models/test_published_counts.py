"""Published parameter counts are met, to the unit where they are printed so."""

from typing import Any

import pytest
import torch

from spaces.published import GalaxyRun, galaxy_runs
from trainables import models

CLASSES = 8
COUNTED = [
    run
    for run in galaxy_runs()
    if run.model in ("vit", "linformer") and run.number("n_params") is not None
]
VIT_BASE = {
    "depth": 12,
    "dim": 768,
    "heads": 12,
    "patch": 16,
    "mlp_dim": 3072,
    "qkv_bias": True,
}


def count(name: str, params: Any, num_classes: int, *, trained: bool = False) -> int:
    with torch.device("meta"):
        model = models.build(name, params, image_size=224, num_classes=num_classes)
    return sum(p.numel() for p in model.parameters() if p.requires_grad or not trained)


def test_all_published_counts_are_tested():
    assert len(COUNTED) == 49


@pytest.mark.parametrize("run", COUNTED, ids=lambda run: f"{run.table}-{run.run_id}")
def test_first_seed_to_the_unit(run: GalaxyRun):
    params = models.published(run.model)[run.run_id]
    assert count(run.model, params, CLASSES) == run.number("n_params")


@pytest.mark.parametrize("name", ["vit", "linformer"])
def test_rows_without_a_count_are_built_too(name):
    runs = {run.run_id for run in galaxy_runs() if run.model == name}
    published = models.published(name)
    assert runs <= published.keys()
    for run in runs - {run.run_id for run in COUNTED}:
        assert count(name, published[run], CLASSES) > 10**6


def test_vit_base_with_eight_classes():
    assert count("vit", VIT_BASE, CLASSES) == 85_804_808
    assert count("vit", VIT_BASE, 1000) == 86_567_656
    frozen = VIT_BASE | {"fine_tune": False}
    assert count("vit", frozen, CLASSES) == 85_804_808
    assert count("vit", frozen, CLASSES, trained=True) == 6_152
