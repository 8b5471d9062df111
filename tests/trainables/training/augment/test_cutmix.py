"""CutMix: timm's boxes and shares, one box an image."""

import numpy as np
import pytest
import torch
from timm.data.mixup import Mixup, cutmix_bbox_and_lam
from torch._subclasses.fake_tensor import FakeTensorMode

from trainables.training.augment.cutmix import DRAWS, boxes, cutmix

LAST = 1 - 2**-24  # the largest number that fp32 draws from [0, 1)


def uniform(batch: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, DRAWS, generator=torch.Generator().manual_seed(seed))


def pair(batch: int, side: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Images in [0, 1) and partners in [1, 2), so that every pixel tells where it is from."""
    pixels = torch.rand(2, batch, 3, side, side, generator=torch.Generator().manual_seed(1))
    return pixels[0], pixels[1] + 1


@pytest.mark.parametrize("side", [7, 16, 224])
def test_boxes_and_shares_are_timms(side):
    shares = uniform(300, side)[:, 0]
    for seed, share in enumerate(shares.tolist()):
        # timm draws the centre itself, row first
        random = np.random.RandomState(seed)
        centre = (random.randint(0, side), random.randint(0, side))
        np.random.seed(seed)
        (top, bottom, left, right), kept = cutmix_bbox_and_lam((3, side, side), share)
        draws = torch.tensor([[share, *((c + 0.5) / side for c in centre)]])
        first, end = boxes(draws, side)
        assert (*first[0].tolist(), *end[0].tolist()) == (top, left, bottom, right)
        images = torch.zeros(1, 3, side, side)
        assert cutmix(images, images, draws)[1].item() == pytest.approx(float(kept), abs=1e-6)


def test_inside_is_the_partner_and_outside_the_image():
    images, partners = pair(50)
    draws = uniform(50)
    mixed, _ = cutmix(images, partners, draws)
    first, end = boxes(draws, 16)
    for i, ((top, left), (bottom, right)) in enumerate(
        zip(first.tolist(), end.tolist(), strict=True)
    ):
        expected = images[i].clone()
        expected[:, top:bottom, left:right] = partners[i, :, top:bottom, left:right]
        assert torch.equal(mixed[i], expected)


def test_the_share_is_that_of_the_own_pixels():
    images, partners = pair(200, 15)
    mixed, kept = cutmix(images, partners, uniform(200))
    counted = (mixed < 1).float().mean((1, 2, 3))
    torch.testing.assert_close(kept, counted, rtol=0, atol=1e-6)


def test_the_share_is_uniform_before_boxes_are_cut_off():
    side = 224
    draws = uniform(4000)
    first, end = boxes(draws, side)
    whole = ((first > 0) & (end < side)).all(1)
    area = (end - first).prod(1) / side**2
    share = draws[:, 0]
    quantiles = torch.quantile(share, torch.tensor([0.25, 0.5, 0.75])).tolist()
    assert quantiles == pytest.approx([0.25, 0.5, 0.75], abs=0.03)
    torch.testing.assert_close(1 - area[whole], share[whole], rtol=0, atol=2 / side)
    assert (1 - area >= share - 1e-6).all()  # cutting off leaves more of the image


def test_shares_are_distributed_as_timms():
    side, batch = 32, 4000
    images = torch.zeros(batch, 1, side, side)
    _, kept = cutmix(images, images, uniform(batch))
    np.random.seed(0)
    mix = Mixup(mixup_alpha=0, cutmix_alpha=1, num_classes=2)
    theirs = torch.tensor([float(mix._mix_batch(images[:2].clone())) for _ in range(batch)])
    levels = torch.linspace(0.05, 0.95, 10)
    torch.testing.assert_close(kept.quantile(levels), theirs.quantile(levels), rtol=0, atol=0.03)
    assert kept.mean().item() == pytest.approx(theirs.mean().item(), abs=0.02)


@pytest.mark.parametrize("side", [1, 7, 28, 56, 224, 384])
@pytest.mark.parametrize("numbers", [(0.0, 0.0, 0.0), (0.0, LAST, LAST), (LAST, 0.5, 0.5)])
def test_the_ends_of_what_can_be_drawn(side, numbers):
    draws = torch.tensor([numbers])
    first, end = boxes(draws, side)
    assert (first >= 0).all()
    assert (first <= end).all()
    assert (end <= side).all()
    images = torch.zeros(1, 3, side, side)
    mixed, kept = cutmix(images, images + 1, draws)
    assert kept.item() == pytest.approx(1 - mixed.mean().item(), abs=1e-6)
    if numbers[0] == LAST:
        assert kept.item() == 1


def test_a_sample_depends_on_its_own_draws_alone():
    (images, partners), draws = pair(9), uniform(9)
    mixed, kept = cutmix(images, partners, draws)
    for i in range(9):
        alone = slice(i, i + 1)
        one, share = cutmix(images[alone], partners[alone], draws[alone])
        assert torch.equal(one[0], mixed[i])
        assert torch.equal(share[0], kept[i])
    assert torch.equal(images, pair(9)[0])  # given images stay as they are


def test_nothing_waits_for_the_device():
    """Without values, a shape or a branch that hangs on one is an error, as is a tensor elsewhere.

    So the whole can be captured in a CUDA graph.
    """
    with FakeTensorMode():
        images = torch.empty(4, 3, 16, 16, device="cuda")
        mixed, kept = cutmix(images, images, torch.empty(4, DRAWS, device="cuda"))
    assert (mixed.shape, kept.shape) == ((4, 3, 16, 16), (4,))
    assert {mixed.device.type, kept.device.type} == {"cuda"}
