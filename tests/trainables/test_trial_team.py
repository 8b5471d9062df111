"""Two workers train one trial together: they agree with one worker, and with each other."""

import json
import multiprocessing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from tests.trainables.tiny_trial import (
    FLAT,
    Document,
    assert_same,
    epoch,
    finish,
    log,
    opened,
    told,
)
from trainables.config import TrialConfig
from trainables.team import Team
from trainables.trial import Trial

pytestmark = pytest.mark.usefixtures("one_thread")
# of 43 training images: the last batch holds 1, fewer than there are workers, or 3
BATCHES = (6, 8)
BATCHED = "resnet"  # normalised by statistics of the whole team's batch
STATEFUL = ("routing", "slab", "switch")  # statistics over the team, losses beside the logits


def settings(data: Path, **changes: Any) -> dict[str, Any]:
    return FLAT | {"data": str(data), "epochs": 2} | changes


def batched(data: Path) -> dict[str, Any]:
    """A ResNet, whose last batch of an epoch has 3 images."""
    shell = ("grid", "depth", "dim", "heads")
    flat = {k: v for k, v in settings(data, batch_size=8, dropout=0.0).items() if k not in shell}
    return flat | {"model": BATCHED, "depth": 26, "width": 8, "image_size": 32, "lr": 1e-6}


def cut_and_mixed(data: Path, **changes: Any) -> dict[str, Any]:
    """WTTF's recipe, in which images of other workers are cut into one's own."""
    recipe = {"recipe": "deit3", "mixed_precision": False, "drop_path": 0.0, "dropout": 0.0}
    return settings(data, batch_size=8, lr=1e-3, **recipe, **changes)


def narrow(trial: Trial, images: int) -> Trial:
    """`trial` on a device whose memory holds no more than so many images."""

    def check(_: Any, given: tuple[torch.Tensor]) -> None:
        if len(given[0]) > images and torch.is_grad_enabled():
            raise torch.OutOfMemoryError("CUDA out of memory")

    trial.learner.model.register_forward_pre_hook(check)
    return trial


def together(rank: int, folder: Path, data: Path) -> None:
    """The life of one of two workers; what they leave in `folder` is looked at by the tests."""
    torch.set_num_threads(1)
    meet = {"init_method": f"file://{folder / 'meet'}", "rank": rank, "world_size": 2}
    dist.init_process_group("gloo", **meet, timeout=timedelta(minutes=5))
    team = Team.current()

    def joined(name: str, **changes: Any) -> Trial:
        return Trial(TrialConfig.from_flat(settings(data, **changes)), folder / name, team)

    for batch in BATCHES:
        finish(joined(f"batch-{batch}", batch_size=batch, dropout=0.0))
    finish(Trial(TrialConfig.from_flat(batched(data)), folder / BATCHED, team))
    finish(Trial(TrialConfig.from_flat(cut_and_mixed(data)), folder / "mixed", team))
    finish(narrow(joined("narrow", batch_size=8, dropout=0.0), 4 - 2 * rank))
    finish(joined("whole"))
    for model in STATEFUL:
        trial = joined(model, model=model)
        finish(trial)
        torch.save(dict(trial.learner.model.named_buffers()), folder / f"{model}-{rank}.pt")
    joined("stopped").epoch()
    reopened = joined("stopped")
    finish(reopened)

    def short(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    trial = joined("short")
    if rank == 1:
        trial.learner.model.register_forward_hook(short)
    (folder / f"rank-{rank}.json").write_text(json.dumps(epoch(trial)))
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def team_of_two(tmp_path_factory, tiny_data) -> Path:
    folder = tmp_path_factory.mktemp("team")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=together, args=(n, folder, tiny_data)) for n in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("batch", BATCHES)
def test_two_workers_do_as_one(team_of_two, tiny_data, tmp_path, batch):
    alone = epoch(opened(settings(tiny_data, batch_size=batch, dropout=0.0), tmp_path / "alone"))
    first = log(team_of_two / f"batch-{batch}")[0]
    same = [name for name in told([alone])[0] if name not in ("lr", "done", "epoch")]
    for name in same:
        assert first[name] == pytest.approx(alone[name], abs=1e-4), name


def assert_equal(mine: list[Document], theirs: list[Document], within: float) -> None:
    for one, other in zip(told(mine), told(theirs), strict=True):
        for name in ("train_loss", "train_top1", "valid_loss", "valid_top1"):
            assert other[name] == pytest.approx(one[name], abs=within), name


@pytest.mark.slow
def test_images_of_other_workers_are_cut_in(team_of_two, tiny_data, tmp_path):
    alone = opened(cut_and_mixed(tiny_data), tmp_path / "alone")
    assert_equal(finish(alone), log(team_of_two / "mixed"), 1e-4)


@pytest.mark.slow
def test_a_batch_that_does_not_fit_is_taken_in_parts(team_of_two, tiny_data, tmp_path):
    alone = opened(settings(tiny_data, batch_size=8, dropout=0.0), tmp_path / "alone")
    assert_equal(finish(alone), log(team_of_two / "narrow"), 1e-4)
    facts = json.loads((team_of_two / "narrow" / "provenance.json").read_text())
    assert facts["steps"]["images_at_a_time"] == 2


@pytest.mark.slow
def test_batch_norm_is_that_of_the_whole_batch(team_of_two, tiny_data, tmp_path):
    trial = opened(batched(tiny_data), tmp_path / "alone")
    alone, first = finish(trial), log(team_of_two / BATCHED)
    assert_equal(alone, first, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("model", STATEFUL)
def test_statistics_and_auxiliary_losses_are_the_teams(team_of_two, model):
    mine, theirs = (torch.load(team_of_two / f"{model}-{rank}.pt") for rank in range(2))
    assert_same(mine, theirs)
    line = log(team_of_two / model)[-1]
    assert line["state"] == "complete"
    assert ("train_auxiliary_loss" in line) == (model != "slab")


@pytest.mark.slow
def test_every_image_is_scored_once(team_of_two):
    confusion = json.loads((team_of_two / "whole" / "confusion.json").read_text())
    assert [sum(row) for row in confusion["valid"]] == [6, 6, 6]
    assert [sum(row) for row in confusion["test"]] == [7, 5, 3]


@pytest.mark.slow
def test_the_team_is_named(team_of_two):
    facts = json.loads((team_of_two / "whole" / "provenance.json").read_text())
    assert facts["workers"] == {"count": 2, "device": "cpu"}


@pytest.mark.slow
def test_a_team_that_was_stopped_ends_as_one_that_was_not(team_of_two):
    whole, stopped = (told(log(team_of_two / name)) for name in ("whole", "stopped"))
    assert stopped == whole


@pytest.mark.slow
def test_all_end_when_one_is_short_of_memory(team_of_two):
    lines = [json.loads((team_of_two / f"rank-{rank}.json").read_text()) for rank in range(2)]
    assert log(team_of_two / "short") == lines[:1]
    for line in lines:
        assert line["state"] == "infeasible"
        assert line["reason"] == "out of memory in epoch 1: on 1 of 2 workers"
