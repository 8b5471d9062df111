"""Steps: parts of a batch, half precision, clipping, and the way that was found quickest."""

import copy
from typing import Any

import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.trainables.tiny_trial import ALONE, assert_same, finish, opened, told
from trainables.config import TrialConfig
from trainables.training import pace
from trainables.training.feed import Batch
from trainables.training.learner import Learner
from trainables.training.mixed_precision import half
from trainables.training.pace import Pace, quickest
from trainables.training.scoring import Score

pytestmark = pytest.mark.usefixtures("one_thread")
DETERMINATE = {"dropout": 0.0}


def learner(flat: dict[str, Any], **changes: Any) -> Learner:
    return Learner(TrialConfig.from_flat(flat | DETERMINATE | changes), ALONE)


def empty() -> Score:
    return Score.empty(3, ALONE.device)


def after_steps(of: Learner, images: int | None, steps: int = 2) -> tuple[dict, Score]:
    of.stepper.images = images
    score = empty()
    of.model.train()
    for _, batch in zip(range(steps), of.feed.epoch(1), strict=False):
        of.stepper.step(batch, 1e-2, score)
    return of.model.state_dict(), score


@pytest.mark.parametrize("recipe", ["galaxy", "deit3"])
@pytest.mark.parametrize("images", [1, 3, 8, 100])
def test_a_batch_in_parts_is_the_whole_batch(flat, recipe, images):
    changes = {"recipe": recipe, "mixed_precision": False, "drop_path": 0.0}
    whole, counted = after_steps(learner(flat, **changes), None)
    parts, also = after_steps(learner(flat, **changes), images)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, atol=2e-5, rtol=1e-4)
    assert torch.equal(counted.confusion, also.confusion)
    torch.testing.assert_close(counted.sums, also.sums)


def test_the_loss_is_the_mean_over_the_batch_weighted_by_class(flat):
    one = learner(flat, optimizer="adam")
    batch = next(one.feed.epoch(1))
    one.model.train()
    expected = cross_entropy(one.model(batch.images), batch.labels, one.weights)
    expected.backward()
    gradients = [p.grad.clone() for p in one.model.parameters()]
    kept = one.stepper._advance
    one.stepper._advance = lambda: None
    one.stepper.step(batch, 1e-3, empty())
    one.stepper._advance = kept
    for gradient, parameter in zip(gradients, one.model.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_a_mixed_image_counts_for_both_labels():
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    labels, others = torch.tensor([0, 1]), torch.tensor([2, 1])
    share = torch.tensor([0.25, 0.5])
    batch = Batch(
        images=torch.zeros(2, 3, 4, 4),
        labels=labels,
        weights=torch.ones(2),
        total=torch.tensor(2.0),
        own=2,
        most=2,
        share=share,
        other_labels=others,
    )
    soft = torch.zeros(2, 3)
    soft[[0, 1], labels] += share
    soft[[0, 1], others] += 1 - share
    for smoothing in (0.0, 0.1):
        expected = cross_entropy(logits, soft, reduction="none", label_smoothing=smoothing)
        torch.testing.assert_close(batch.losses(logits, smoothing), expected)


@pytest.mark.skipif(half(ALONE.device) is None, reason="this processor has no bf16 arithmetic")
def test_half_precision_computes_in_bf16_and_keeps_weights_in_fp32(flat):
    one = learner(flat, mixed_precision=True)
    seen = []
    mixer = one.model.get_submodule("blocks.0.mix.1")
    mixer.register_forward_hook(lambda *given: seen.append(given[-1].dtype))
    state, _ = after_steps(one, None)
    assert seen == [torch.bfloat16] * 2
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}
    exact, _ = after_steps(learner(flat), None)
    assert any(not torch.equal(state[name], exact[name]) for name in state)


def test_without_hardware_for_it_there_is_no_half_precision(flat, monkeypatch):
    monkeypatch.setattr("trainables.training.mixed_precision._processor_has_bf16", lambda: False)
    one = learner(flat, mixed_precision=True)
    assert one.stepper.dtype is None
    assert one.stepper.facts()["half_precision"] is None


@pytest.mark.parametrize(("optimizer", "limit"), [("adam", 1e-3), ("adam", 0.0)])
def test_gradients_are_clipped(flat, optimizer, limit):
    one = learner(flat, optimizer=optimizer, clip_grad_norm=limit)
    after_steps(one, None, steps=1)
    norm = torch.nn.utils.get_total_norm([p.grad for p in one.model.parameters()])
    assert (norm <= 1.001e-3) == bool(limit)


def test_too_little_memory_for_one_image_is_an_error(flat, folder):
    trial = opened(flat, folder)

    def short(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    trial.learner.model.register_forward_hook(short)
    batch = next(trial.learner.feed.epoch(1))
    with pytest.raises(torch.OutOfMemoryError, match="on 1 of 1 workers"):
        trial.learner.stepper.fit_memory(batch, empty())
    assert trial.learner.stepper.images == 1


def test_fitting_memory_changes_nothing_else(flat):
    one = learner(flat)
    after_steps(one, None)
    before = copy.deepcopy(one.state())
    one.stepper.fit_memory(next(one.feed.epoch(1)), empty())
    after = one.state()
    assert after["images"] == 8
    assert_same({**after, "images": None}, {**before, "images": None})


WAYS = {"default_ms": 10.0, "channels_last_ms": 9.8, "not_fused_ms": 6.0, "compiled_ms": 1.0}


def times(pace: Pace, steps: int) -> list[float]:
    """Compiling helps most, another optimiser some, another layout too little to be sure."""
    of = 10.0 if pace.fused else 6.0
    of = of - 0.2 if pace.channels_last else of
    return [1.0, 1.0] + [(1.0 if pace.compiled else of) / 1e3] * (steps - 2)


CHANGES = [{"channels_last": True}, {"fused": False}]


def test_the_quickest_way_is_taken():
    found, facts = quickest(CHANGES, times, lambda value: value, steps_left=10**7)
    assert found == Pace(channels_last=False, fused=False, compiled=True)
    assert facts == pytest.approx(WAYS)


def test_compiling_is_tried_only_where_enough_is_left_to_train():
    found, facts = quickest(CHANGES, times, lambda value: value, steps_left=1000)
    assert found == Pace(fused=False)
    assert "compiled_ms" not in facts


def test_a_way_that_fails_is_not_taken_and_its_reason_kept():
    def failing(pace: Pace, steps: int) -> list[float] | str:
        return "RuntimeError: no such kernel" if pace.channels_last else times(pace, steps)

    found, facts = quickest(CHANGES, failing, lambda value: value, steps_left=1000)
    assert found == Pace(fused=False)
    assert facts["channels_last_ms"] == "RuntimeError: no such kernel"


def test_short_trials_measure_nothing(flat, folder):
    trial = opened(flat, folder)
    trial.epoch()
    assert trial.learner.stepper.measured == {}


def test_what_was_measured_is_kept_and_trains_on_bit_for_bit(flat, folder, monkeypatch):
    """A resumed trial does not measure again: its steps would be run in another way."""
    monkeypatch.setattr(pace, "_WORTH", 0)
    monkeypatch.setattr(pace, "_GAIN", 100.0)  # the last way tried is taken
    whole = finish(opened(flat, folder / "whole"))
    trial = opened(flat, folder / "stopped")
    trial.epoch()
    measured = trial.learner.stepper.measured
    assert measured.keys() == {"default_ms", "not_fused_ms"}
    monkeypatch.setattr(pace, "_GAIN", 0.0)
    resumed = opened(flat, folder / "stopped", known_epoch=1)
    assert resumed.learner.stepper.pace == Pace(fused=False)
    assert told(finish(resumed)) == told(whole[1:])
    assert resumed.learner.stepper.measured == measured


def test_measuring_changes_neither_weights_nor_optimiser(flat):
    one = learner(flat)
    after_steps(one, None)
    before = copy.deepcopy(one.state())
    one.stepper.hasten(next(one.feed.epoch(1)), empty(), steps_left=100)
    after = one.state()
    assert after["measured"]
    for part in ("model", "scaler"):
        assert_same(after[part], before[part])
    assert_same(after["optimizer"]["state"], before["optimizer"]["state"])


@pytest.mark.slow
def test_a_compiled_model_learns_the_same(flat):
    eager, compiled = learner(flat), learner(flat)
    compiled.stepper.adopt(Pace(compiled=True))
    whole, _ = after_steps(eager, None, steps=3)
    same, _ = after_steps(compiled, None, steps=3)
    for name, value in whole.items():
        torch.testing.assert_close(same[name], value, atol=1e-4, rtol=1e-3)
