"""EfficientMod's context is a convolution, its values are modulated position by position."""

from typing import Any

import pytest
import torch
from torch.nn.functional import gelu, linear

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.models.block import Branch, PreNorm
from trainables.models.whole import efficientmod
from trainables.models.whole.efficientmod import Modulation, ModulationBlock

SMALL = {"dim": 4, "depth": 2, "attention_depth": 1, "heads": 2}


def by_loops(module: Modulation, x: torch.Tensor) -> torch.Tensor:
    """Every position by itself, with a loop over its neighbours and over the values' parts."""
    _, height, width, channels = x.shape
    reach = module.local.kernel_size[0] // 2
    filters, bias = (p for _, p in module.local.named_parameters())
    before, out = module.before(x), torch.empty_like(x)
    for row in range(height):
        for column in range(width):
            local = bias.expand(len(x), channels).clone()
            for i in range(max(0, row - reach), min(height, row + reach + 1)):
                for j in range(max(0, column - reach), min(width, column + reach + 1)):
                    at = filters[:, 0, i - row + reach, j - column + reach]
                    local = local + at * before[:, i, j]
            context = module.after(gelu(local))
            mixed = module.out.bias
            for part in range(module.expansion):
                rows = slice(part * channels, (part + 1) * channels)
                values = linear(
                    x[:, row, column], module.values.weight[rows], module.values.bias[rows]
                )
                values = values if module.expansion == 1 else gelu(values)
                mixed = mixed + linear(values * context, module.out.weight[:, rows])
            out[:, row, column] = mixed
    return out


@pytest.mark.parametrize(("expansion", "kernel_size"), [(1, 3), (1, 7), (3, 5)])
def test_equals_modulation_position_by_position(expansion, kernel_size):
    torch.manual_seed(0)
    module = Modulation(6, expansion, kernel_size).double()
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    assert_exact(module(x), by_loops(module, x))
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_loops(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)


def test_a_block_adds_to_what_it_is_given():
    branch = Branch(width=6, dropout=0.0, drop_path=0.0, layer_scale=0.5, norm_eps=1e-5)
    block = ModulationBlock(branch, 2, 3).double()
    x = torch.randn(1, 4, 4, 6, dtype=torch.float64)
    norm, modulation = block.branch[0], block.branch[1]
    assert_exact(block(x), x + 0.5 * modulation(norm(x)))


def test_widths_depths_and_expansions_of_the_stages():
    model: Any = models.build("efficientmod", SMALL, image_size=56, num_classes=2)
    found = [
        (
            stage.norm.normalized_shape[0],
            [block.branch[1].expansion for block in stage.blocks],
            [block.feed[1][0].out_features for block in stage.attention],
        )
        for stage in model.stages
    ]
    two, four = [1, 6], [1, 6, 1, 6]
    assert found == [(4, two, []), (8, two, []), (16, four, [64]), (32, two, [160])]
    assert all(isinstance(b, PreNorm) for stage in model.stages for b in stage.attention)


@pytest.mark.parametrize(("image_size", "sides"), [(56, [14, 7, 4, 2]), (97, [25, 13, 7, 4])])
def test_any_image_size_is_halved_rounding_up(image_size, sides):
    model: Any = models.build("efficientmod", SMALL, image_size=image_size, num_classes=2)
    seen = []
    for stage in model.stages:
        stage.register_forward_hook(lambda *call: seen.append(call[2].shape[2:]))
    model(torch.zeros(1, 3, image_size, image_size))
    assert seen == [(side, side) for side in sides]


def test_drop_path_rises_over_modulation_and_attention():
    params = SMALL | {"drop_path": 0.6, "depth": 1}
    model: Any = models.build("efficientmod", params, image_size=56, num_classes=2)
    rates = [module.rate for module in model.modules() if hasattr(module, "rate")]
    # an attention block drops two branches
    expected = torch.tensor([0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.5, 0.6, 0.6])
    torch.testing.assert_close(torch.tensor(rates), expected)


def test_the_published_row_to_the_unit():
    with torch.device("meta"):
        model = efficientmod.Model(
            efficientmod.Config(), image_size=224, num_classes=1000, in_chans=3
        )
    assert sum(p.numel() for p in model.parameters()) == 8_991_528


def test_all_mistakes_are_told_at_once():
    wrong = {"dim": 3, "kernel_size": 4, "depth": 0, "expansion": 0, "dropout": 1.0}
    with pytest.raises(ValueError, match="heads=8 must divide 4 dim=12") as caught:
        models.build("efficientmod", wrong, image_size=56, num_classes=2)
    for part in ("odd and at least 1, given 4", "depth must", "expansion must", r"[0, 1), given 1"):
        assert part in str(caught.value)
    fine = {"dim": 3, "depth": 1, "attention_depth": 0}
    assert models.build("efficientmod", fine, image_size=56, num_classes=2)
