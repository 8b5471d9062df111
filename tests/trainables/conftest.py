"""Fixtures of the tests that train."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainables.tiny_trial import FLAT, epoch, opened


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Waiting for each other costs threads more than models this small."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def flat(tiny_data: Path) -> dict[str, Any]:
    return FLAT | {"data": str(tiny_data)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "trial"


@pytest.fixture(scope="module")
def whole(tmp_path_factory, tiny_data, one_thread) -> dict[str, Any]:  # noqa: ARG001
    """A trial that was never stopped: its folder, its lines, its state after every epoch."""
    folder = tmp_path_factory.mktemp("whole") / "trial"
    trial = opened(FLAT | {"data": str(tiny_data)}, folder)
    lines, states = [], {}
    while not trial.finished:
        lines.append(epoch(trial))
        states[trial.epochs_done] = copy.deepcopy(trial.learner.state())
    return {"folder": folder, "lines": lines, "states": states}
