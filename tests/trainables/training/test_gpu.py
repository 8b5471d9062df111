"""Training on CUDA: what a GPU does otherwise. Needs one."""

import pytest
import torch

from tests.trainables.tiny_trial import ALONE, finish
from trainables.config import TrialConfig
from trainables.team import Team
from trainables.training.learner import Learner
from trainables.training.scoring import Score
from trainables.trial import Trial

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
DETERMINATE = {"dropout": 0.0, "drop_path": 0.0}


def on_cuda() -> Team:
    return Team(0, 1, torch.device("cuda", 0))


@pytest.mark.parametrize("recipe", ["galaxy", "deit3"])
def test_batches_are_those_of_the_cpu_and_the_images_resident(flat, recipe):
    config = TrialConfig.from_flat(flat | {"recipe": recipe})
    theirs, ours = Learner(config, ALONE).feed, Learner(config, on_cuda()).feed
    assert ours.pixels.way == "resident"
    for mine, other in zip(ours.epoch(1), theirs.epoch(1), strict=True):
        torch.testing.assert_close(mine.images.cpu(), other.images, atol=1e-3, rtol=0)
        assert torch.equal(mine.labels.cpu(), other.labels)


def test_a_trial_learns_as_on_the_cpu(flat, tmp_path):
    config = TrialConfig.from_flat(flat | DETERMINATE)
    lines = [finish(Trial(config, tmp_path / t.device.type, t)) for t in (ALONE, on_cuda())]
    for mine, other in zip(*lines, strict=True):
        assert other["train_loss"] == pytest.approx(mine["train_loss"], abs=1e-2)


def test_half_precision_learns(flat, tmp_path):
    config = TrialConfig.from_flat(flat | {"recipe": "deit3", "lr": 1e-3, "batch_size": 8})
    trial = Trial(config, tmp_path, on_cuda())
    assert trial.learner.stepper.dtype in (torch.bfloat16, torch.float16)
    assert finish(trial)[-1]["state"] == "complete"


def test_fp16_scales_its_losses(flat, monkeypatch):
    monkeypatch.setattr("trainables.training.stepper.half", lambda _: torch.float16)
    one = Learner(TrialConfig.from_flat(flat | {"mixed_precision": True}), on_cuda())
    before = {name: value.clone() for name, value in one.model.state_dict().items()}
    one.train(1)
    assert one.stepper.scaler.is_enabled()
    assert any(not torch.equal(before[n], v) for n, v in one.model.state_dict().items())
    assert all(torch.isfinite(p).all() for p in one.model.parameters())


def test_a_batch_that_does_not_fit_is_taken_in_parts(flat):
    """The batch would need several times the memory that this process may use."""
    sizes = {"image_size": 128, "grid": 32, "dim": 256, "heads": 8, "depth": 4, "batch_size": 43}
    one = Learner(TrialConfig.from_flat(flat | sizes), on_cuda())
    batch = next(one.feed.epoch(1))
    score = Score.empty(3, one.team.device)
    one.model.train()
    torch.cuda.reset_peak_memory_stats()
    one.stepper.step(batch, 0.0, score)
    needed = torch.cuda.max_memory_allocated()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(needed / 2 / total)
    try:
        one.stepper.fit_memory(batch, score)
        assert one.stepper.images is not None
        assert 1 <= one.stepper.images < 43
        one.stepper.step(batch, 1e-3, score)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.slow
def test_a_stopped_trial_goes_on(flat, tmp_path):
    config = TrialConfig.from_flat(flat)
    whole = finish(Trial(config, tmp_path / "whole", on_cuda()))
    Trial(config, tmp_path / "stopped", on_cuda()).epoch()
    rest = finish(Trial(config, tmp_path / "stopped", on_cuda(), known_epoch=1))
    for mine, other in zip(whole[1:], rest, strict=True):
        assert other["train_loss"] == pytest.approx(mine["train_loss"], abs=1e-4)
