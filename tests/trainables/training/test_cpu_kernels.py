"""Quicker ways on the CPU do what PyTorch's functions do."""

import pytest
import torch
from torch.nn.functional import dropout, scaled_dot_product_attention

from trainables.training.cpu_kernels import CpuKernels


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_has_its_share_and_keeps_the_mean(p):
    torch.manual_seed(0)
    ones = torch.ones(1000, 1001, requires_grad=True)
    with CpuKernels():
        dropped = dropout(ones, p)
    kept = dropped != 0
    assert kept.float().mean() == pytest.approx(1 - p, abs=2e-3)
    assert torch.allclose(dropped[kept], torch.tensor(1 / (1 - p)), rtol=1e-4)
    # neither rows nor neighbours fall together
    assert kept.float().mean(0).std() == pytest.approx((p * (1 - p) / 1000) ** 0.5, rel=0.1)
    pairs = (kept[:, :-1] & kept[:, 1:]).float().mean()
    assert pairs == pytest.approx((1 - p) ** 2, abs=2e-3)
    dropped.sum().backward()
    assert torch.equal(ones.grad, dropped.detach())


def test_dropout_is_drawn_from_pytorchs_seed():
    values = torch.randn(3, 5)
    found = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        with CpuKernels():
            found.append(dropout(values, 0.5))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize(("p", "training"), [(0.0, True), (1.0, True), (0.3, False)])
def test_dropout_that_draws_nothing(p, training):
    values = torch.randn(4, 4)
    with CpuKernels():
        assert torch.equal(dropout(values, p, training), dropout(values, p, training))


def test_modules_take_it():
    torch.manual_seed(0)
    values = torch.ones(64, 64)
    module = torch.nn.Sequential(torch.nn.Dropout(0.25))
    with CpuKernels():
        torch.manual_seed(3)
        quick = module(values)
        torch.manual_seed(3)
        assert torch.equal(quick, dropout(values, 0.25))
    torch.manual_seed(3)
    assert not torch.equal(quick, module(values))


@pytest.mark.parametrize("mask", ["none", "bool", "bias"])
def test_attention_under_autocast_is_that_of_fp32(mask):
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(2, 3, 7, 8, generator=generator).bfloat16() for _ in range(3)]
    masks = {
        "none": None,
        "bool": torch.rand(7, 7, generator=generator) > 0.2,
        "bias": torch.randn(7, 7, generator=generator).bfloat16(),
    }
    given = masks[mask]
    wide = given.float() if mask == "bias" else given
    expected = scaled_dot_product_attention(*(t.float() for t in tensors), wide, scale=0.3)
    with CpuKernels(), torch.autocast("cpu", torch.bfloat16):
        found = scaled_dot_product_attention(*tensors, given, scale=0.3)
        named = scaled_dot_product_attention(*tensors, attn_mask=given, scale=0.3)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, expected.bfloat16())
    assert torch.equal(found, named)
