"""Batch norm over a team is batch norm over its whole batch, in values, gradients, statistics."""

import multiprocessing
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from trainables import models
from trainables.training.batch_norm import TeamBatchNorm, uses_batches

SHARES = (5, 2)  # samples of the two workers


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2)
    ).double()


def samples() -> torch.Tensor:
    return torch.randn(7, 3, 4, 4, generator=torch.Generator().manual_seed(1)).double()


def worker(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    meet = {"init_method": f"file://{folder / 'meet'}", "rank": rank, "world_size": 2}
    dist.init_process_group("gloo", **meet)
    model, mine = network().train(), samples().split(SHARES)[rank]
    with TeamBatchNorm():
        output = model(mine)
    output.square().sum().backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    for gradient in gradients:
        dist.all_reduce(gradient)
    with TeamBatchNorm():
        evaluated = model.eval()(mine).detach()
    kept = {"output": output.detach(), "gradients": gradients, "evaluated": evaluated}
    torch.save(kept | {"buffers": dict(model.named_buffers())}, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def team(tmp_path_factory) -> list[dict]:
    folder = tmp_path_factory.mktemp("norm")
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=worker, args=(n, folder)) for n in range(2)]
    for process in workers:
        process.start()
    for process in workers:
        process.join()
    assert [process.exitcode for process in workers] == [0, 0]
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow  # two processes; a whole trial of two workers is among the quick tests
def test_a_team_normalises_as_one(team):
    model = network().train()
    output = model(samples())
    output.square().sum().backward()
    torch.testing.assert_close(torch.cat([part["output"] for part in team]), output)
    for part in team:
        torch.testing.assert_close(part["gradients"], [p.grad for p in model.parameters()])
        buffers = dict(model.named_buffers())
        for name in ("1.running_mean", "1.running_var"):
            torch.testing.assert_close(part["buffers"][name], buffers[name])
    evaluated = torch.cat([part["evaluated"] for part in team])
    torch.testing.assert_close(evaluated, model.eval()(samples()))


@pytest.mark.parametrize(
    ("name", "params", "expected"),
    [
        ("resnet", {"depth": 26, "width": 8}, True),
        ("efficientvit", {"width": 0.25}, True),
        ("slab", {"depth": 1, "dim": 8, "heads": 1, "grid": 4}, True),
        ("vit", {"depth": 1, "dim": 8, "heads": 1, "grid": 4}, False),
    ],
)
def test_which_models_normalise_by_batches(name, params, expected):
    with torch.device("meta"):
        model = models.build(name, params, image_size=32, num_classes=2)
    assert uses_batches(model) is expected
