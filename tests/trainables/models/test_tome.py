"""ToMe is a loop over images and pairs of tokens; tokens that are alike merge without a trace."""

from functools import partial
from math import sqrt
from typing import Any

import pytest
import torch
from torch.nn.functional import cosine_similarity

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.efficiency.count import count
from trainables.models.attention import softmax
from trainables.models.block import MLP, Branch, Layers
from trainables.models.geometry import Geometry
from trainables.models.reduction import tome

GEOMETRY = Geometry(width=12, heads=3, grid=(3, 4))
N, D, H = GEOMETRY.tokens, GEOMETRY.width, GEOMETRY.heads


def layers(geometry: Geometry = GEOMETRY, depth: int = 4, **changes: Any) -> Layers:
    branch = Branch(width=D, dropout=0.0, drop_path=0.0, layer_scale=0.5, norm_eps=1e-6)
    mixer = partial(softmax.Attention, geometry, softmax.Config(qkv_bias=True))
    feed = partial(MLP, D, 2 * D, 0.0)
    return Layers(geometry=geometry, branches=[branch] * depth, mixer=mixer, feed=feed, **changes)


def trunk(r: int, depth: int = 4) -> Any:
    torch.manual_seed(0)
    return tome.Trunk(layers(depth=depth), tome.Config(r=r)).double()


def tokens() -> torch.Tensor:
    return torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def pairs(keys: torch.Tensor, r: int) -> dict[int, int]:
    """The `r` even tokens of (N, E) that are most like an odd one, and which: by their indices."""
    alike = {
        even: max((float(cosine_similarity(keys[even], keys[odd], dim=0)), odd) for odd in odds)
        for odds in [range(1, len(keys), 2)]
        for even in range(2, len(keys), 2)
    }
    chosen = sorted(alike, key=alike.__getitem__, reverse=True)[:r]
    return {even: alike[even][1] for even in chosen}


def by_loops(module: Any, image: torch.Tensor, r: int) -> torch.Tensor:
    sizes = [1] * len(image)
    for block in module.blocks:
        heads = block.mixer.qkv(block.norm(image)).unflatten(1, (3, H, -1)).permute(2, 1, 0, 3)
        mixed = []
        for q, k, v in heads:
            weights = (q @ k.T / sqrt(D // H)).exp() * torch.tensor(sizes)
            mixed.append(weights / weights.sum(dim=1, keepdim=True) @ v)
        image = image + block.thinned(block.mixer.out(torch.cat(mixed, dim=1)))
        partners = pairs(heads[:, 1].mean(dim=0).detach(), min(r, (len(image) - 1) // 2))
        stay = [i for i in range(0, len(image), 2) if i not in partners]
        members = [[i] for i in stay]
        for odd in range(1, len(image), 2):
            members.append([odd, *(even for even, partner in partners.items() if partner == odd)])
        totals = [sum((sizes[i] * image[i] for i in group), torch.zeros(D)) for group in members]
        sizes = [sum(sizes[i] for i in group) for group in members]
        image = torch.stack([total / size for total, size in zip(totals, sizes, strict=True)])
        image = image + block.feed(image)
    return image


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("r", [2, 3, 100])
def test_equals_a_loop_over_images(r, training):
    module, x = trunk(r).train(training), tokens()
    expected = torch.stack([by_loops(module, image, r) for image in x])
    assert_exact(module(x), expected)
    weights, sources = torch.randn_like(expected), [x, *module.parameters()]
    ours, theirs = (
        torch.autograd.grad((y * weights).sum(), sources) for y in (module(x), expected)
    )
    assert_exact(ours, theirs)


@pytest.mark.parametrize(("r", "lengths"), [(2, [13, 11, 9, 7, 5]), (5, [13, 8, 5, 3, 2])])
def test_later_blocks_see_fewer_tokens(r, lengths):
    module, seen = trunk(r), []
    for block in module.blocks:
        block.norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1]))
    seen.append(module(tokens()).shape[1])
    assert seen == lengths


def test_tokens_that_are_alike_merge_without_a_trace():
    x = tokens().detach()
    x[:, 2::2] = x[:, 1::2]
    merging, plain = trunk(6, depth=2), trunk(0, depth=2)
    lengths = []
    merging.blocks[1].norm.register_forward_pre_hook(lambda _, x: lengths.append(x[0].shape[1]))
    assert_exact(merging(x)[:, 0], plain(x)[:, 0])
    assert lengths == [7]


def test_sizes_add_up_and_the_class_token_stays_alone():
    x, size = tokens().detach(), None
    total = x.sum(dim=1)
    for _ in range(3):
        x, size = tome.merged(x, size, tome.match(x.unsqueeze(1), 3))
        assert_exact((x * size).sum(dim=1), total)
        assert_exact(size.sum(dim=1), torch.full((2, 1), float(N)).double())
        assert_exact(size[:, 0], torch.ones(2, 1).double())
    assert size is not None
    assert size.max() > 2


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_merging_keeps_its_precision_in_half_precision(dtype):
    # (1, 1/2, ...) is nearer to (1, 0.51, ...), by less than half precision tells of a cosine
    keys = torch.tensor([[9.0, 9.0], [1.0, 0.56], [1.0, 0.5], [1.0, 0.51]]).to(dtype)
    x = torch.full((1, 4, 2), 40_000.0)
    with torch.autocast("cpu", dtype=dtype):
        matching = tome.match(1000 * keys.expand(1, 1, 4, 2), 1)
        mean, size = tome.merged(x.to(dtype), torch.full((1, 4, 1), 2.0), matching)
        first = tome.merged(x.to(dtype), None, matching)[1]
    assert first.dtype == torch.float32
    assert matching.partner.flatten().tolist() == [1]
    assert size.flatten().tolist() == [2, 2, 4]
    torch.testing.assert_close(mean, x[:, 1:].to(dtype))


@pytest.mark.slow
@pytest.mark.parametrize(("r", "gflops"), [(8, 3.467), (13, 2.742)])
def test_operations_at_the_rates_of_the_paper(r, gflops):
    params = {**models.published("tome")["ToMe-S-R-8/16"], "r": r}
    with torch.device("meta"):
        model = models.build("tome", params, image_size=224, num_classes=1000)
    assert count(model, 224).gflops == pytest.approx(gflops, abs=0.003)


def test_all_that_cannot_be_built_is_told_at_once():
    geometry = Geometry(width=D, heads=H, grid=(3, 4), prefix=0)
    with pytest.raises(ValueError, match="class_token must be True and class_depth 0") as caught:
        tome.Trunk(layers(geometry, block="one_residual"), tome.Config())
    assert "block must be 'pre_norm', given 'one_residual'" in str(caught.value)


def test_a_wrong_value_is_told():
    assert tome.Config(r=-1).mistakes(224) == ["r must be at least 0, given -1"]
