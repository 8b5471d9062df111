import logging
import math
import warnings

import pytest
import timm
import torch
from torch import nn
from torch.nn import functional

from trainables.efficiency import Counts, count

LAYER_SCALE = {"init_values": 1e-4, "no_embed_class": True}


class Applied(nn.Module):
    """A function of the image as a model."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, image):
        return self.function(image)


def counted(function, image_size=8) -> Counts:
    return count(Applied(function), image_size)


@pytest.mark.parametrize(
    ("name", "options", "params", "gflops"),
    [
        ("vit_tiny_patch16_224", LAYER_SCALE, 5_721_832, 1.282),
        ("vit_small_patch16_224", LAYER_SCALE, 22_059_496, 4.656),
        ("resnet50", {}, 25_557_032, 4.117),
        ("mixer_s16_224", {}, 18_528_264, 3.821),
    ],
)
def test_counts_of_wttf(name, options, params, gflops):
    with torch.device("meta"):
        model = timm.create_model(name, **options)
    counts = count(model, 224)
    assert counts.params == params
    assert counts.gflops == pytest.approx(gflops, abs=0.001)
    assert counts.uncounted == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "params", "gflops"),
    [
        ("vit_base_patch16_224", LAYER_SCALE, 86_585_320, 17.678),
        ("deit3_small_patch16_224", {}, 22_059_496, 4.656),
        ("swin_tiny_patch4_window7_224", {}, 28_288_354, 4.573),
        ("swin_small_patch4_window7_224", {}, 49_606_258, 8.873),
        ("xcit_small_12_p16_224", {}, 26_253_304, 4.873),
        ("efficientformerv2_s0", {"distillation": False}, 3_423_256, 0.442),
        ("coat_tiny", {}, 5_498_540, 4.447),
        ("nextvit_small", {}, 31_763_368, 5.819),
        ("focalnet_tiny_srf", {}, 28_427_116, 4.504),
        ("fastvit_s12", {}, 9_473_576, 1.447),
        ("cait_s24_224", {}, 46_916_200, 9.450),
    ],
)
def test_more_counts_of_wttf(name, options, params, gflops):
    with torch.device("meta"):
        model = timm.create_model(name, **options)
    counts = count(model, 224)
    assert counts.params == params
    assert counts.gflops == pytest.approx(gflops, abs=0.001)


def test_operations_of_modules_add_up_to_the_whole():
    counts = count(timm.create_model("test_vit", img_size=64, num_classes=10), 64)
    blocks = [
        name for name in counts.by_module if name.startswith("blocks.") and name[7:].isdigit()
    ]
    assert counts.by_module[""] == pytest.approx(sum(counts.by_operator.values()))
    assert counts.by_module["blocks"] == sum(counts.by_module[name] for name in blocks) > 0


def test_fused_and_written_out_attention_count_the_same():
    counts = []
    for fused in (True, False):
        model = timm.create_model("test_vit", img_size=64, num_classes=10)
        for block in model.blocks:
            block.attn.fused_attn = fused
        counts.append(count(model, 64))
    assert counts[0].by_operator == counts[1].by_operator
    assert counts[0].by_operator["softmax"] > 0


def test_matches_a_closed_formula():
    tokens, width, hidden, classes = 16, 12, 48, 5

    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed = nn.Conv2d(3, width, kernel_size=2, stride=2)
            self.norm = nn.LayerNorm(width)
            self.feed = nn.Sequential(
                nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width), nn.Dropout(0.5)
            )
            self.head = nn.Linear(width, classes)

        def forward(self, image):
            x = self.embed(image).flatten(2).transpose(1, 2)
            x = x + self.feed(self.norm(x))
            return self.head(x.mean(1)).softmax(-1)

    counts = count(Small(), 8)
    macs = tokens * 2 * 2 * 3 * width + 2 * tokens * width * hidden + width * classes
    other = tokens * width * 5 + tokens * hidden * 8 + tokens * width + tokens * width + 5 * classes
    assert counts.gmacs == macs / 1e9
    assert counts.gflops == (macs + other) / 1e9
    assert counts.uncounted == {}


def test_frozen_parameters_are_no_trainable_ones():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 5), nn.Linear(5, 2))
    model[1].requires_grad_(False)
    counts = count(model, 4)
    assert (counts.params, counts.params_total) == (5 * 2 + 2, 48 * 5 + 5 + 12)


def test_operators_without_a_rule_are_listed():
    counts = counted(lambda image: torch.erfinv(torch.erfinv(image)) + torch.digamma(image))
    assert counts.uncounted == {"aten::erfinv": 2, "aten::digamma": 1}
    assert counts.by_operator == {"add": 3 * 8 * 8}


def test_what_only_moves_or_compares_is_neither_counted_nor_listed():
    def function(image):
        x = image.expand(2, -1, -1, -1).permute(0, 2, 3, 1).reshape(2, -1, 3).repeat(1, 2, 1)
        x = torch.cat([x, x.flip(1)], dim=1).clamp_min(0).relu()
        return functional.dropout(x.gather(1, x.argsort(1)), training=False).topk(2, dim=1).values

    counts = counted(function)
    assert (counts.gflops, counts.by_operator, counts.uncounted) == (0, {}, {})


def test_shape_arithmetic_costs_nothing():
    counts = counted(lambda image: image.reshape(image.shape[0] * image.shape[1], -1))
    assert (counts.gflops, counts.uncounted) == (0, {})


@pytest.mark.parametrize(
    ("function", "operator", "operations"),
    [
        # the first operand has fewer batch dimensions than the second
        (lambda x: torch.ones(5, 8) @ x, "matmul", 3 * 5 * 8 * 8),
        (lambda x: x @ torch.ones(8), "matmul", 3 * 8 * 8),
        (lambda x: torch.einsum("bcij,bcjk->bcik", x, x), "einsum", 3 * 8**3),
        (lambda x: torch.einsum("...ij, ...jk", x, torch.ones(8, 2)), "einsum", 3 * 8 * 8 * 2),
        (lambda x: torch.einsum("ij,jk,kl->il", x[0, 0], x[0, 1], x[0, 2]), "einsum", 2 * 8**3),
        (lambda x: torch.einsum("bcij->bc", x), "sum", 3 * 63),
        (lambda x: torch.baddbmm(x[0], x[0], x[0]), "baddbmm", 3 * 8**3),
        (
            lambda x: functional.conv2d(x, torch.ones(6, 1, 3, 3), padding="same", groups=3),
            "conv",
            6 * 576,
        ),
        (
            lambda x: functional.conv_transpose2d(x, torch.ones(3, 5, 2, 2), stride=2),
            "conv",
            192 * 5 * 4,
        ),
        (lambda x: x.softmax(-1), "softmax", 5 * 192),
        (lambda x: x.exp_(), "exp", 20 * 192),
        (lambda x: 1 - x, "rsub", 192),
        (lambda x: x.sum(-1), "sum", 192 - 24),
        (lambda x: x.norm(dim=-1), "linalg_vector_norm", 2 * 192 - 24),
        (lambda x: x.cumsum(-1), "cumsum", 24 * 8 * 7 / 2),
        (lambda x: torch.fft.rfft2(x), "fft_rfft2", 2.5 * 192 * math.log2(64)),
        (lambda x: torch.fft.irfft2(x + 0j, s=(8, 8)), "fft_irfft2", 2.5 * 192 * math.log2(64)),
        (lambda x: torch.fft.fft2(x, dim=(1, 2)), "fft_fft2", 5 * 192 * math.log2(24)),
    ],
)
def test_costs_of_single_operators(function, operator, operations):
    counts = counted(function)
    assert counts.by_operator[operator] == operations
    assert counts.uncounted == {}


@pytest.mark.parametrize("mask", [None, torch.zeros(4, 16), torch.ones(4, 16, dtype=torch.bool)])
def test_fused_attention_with_masks_and_shared_keys(mask):
    queries, keys, heads, width, value_width = 4, 16, 6, 8, 2

    def function(image):
        shift = image.sum() * 0
        return functional.scaled_dot_product_attention(
            torch.ones(1, heads, queries, width) + shift,
            torch.ones(1, 2, keys, width),
            torch.ones(1, 2, keys, value_width),
            attn_mask=mask,
            enable_gqa=True,
        )

    counts = counted(function).by_operator
    scores = heads * queries * keys
    assert counts["matmul"] == scores * (width + value_width)
    assert counts["softmax"] == 5 * scores
    with_mask = scores if mask is not None and mask.is_floating_point() else 0
    assert counts["add"] == heads * queries * width + with_mask  # the first term is the shift


class SelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.mix = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(self, image):
        x = image.reshape(1, -1, 12)
        return self.mix(x, x, x, need_weights=False)[0]


def test_the_fast_path_of_torch_attention_is_counted():
    counts = count(SelfAttention(12, 2), 8)
    assert counts.uncounted == {}
    assert counts.gmacs == (4 * 16 * 12 * 12 + 2 * 16 * 16 * 12) / 1e9


class Failing(nn.Module):
    def forward(self, _image):
        raise RuntimeError("no such luck")


@pytest.mark.parametrize("fails", [False, True])
def test_leaves_the_model_as_it_was(fails, caplog, capsys):
    parts = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten()]
    model = nn.Sequential(*parts, *([Failing()] if fails else [])).train()
    model[1].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random_state = torch.get_rng_state()
    fast_path = torch.backends.mha.get_fastpath_enabled()
    with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
        warnings.simplefilter("error")
        if fails:
            with pytest.raises(RuntimeError, match="no such luck"):
                count(model, 8)
        else:
            count(model, 8)
    torch.testing.assert_close(model.state_dict(), before, rtol=0, atol=0)
    assert [part.training for part in parts] == [True, False, True, True]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in parts)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.backends.mha.get_fastpath_enabled() == fast_path
    assert (caplog.text, *capsys.readouterr()) == ("", "", "")


def test_one_image_of_any_size_and_number_of_channels():
    model = nn.Conv2d(1, 2, kernel_size=3, padding=1).bfloat16()
    assert count(model, 10, in_chans=1).by_operator == {"conv": 10 * 10 * 9 * 2}
