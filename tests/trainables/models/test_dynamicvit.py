"""DynamicViT is a loop over images, and what training draws becomes what evaluation keeps."""

from functools import partial
from math import sqrt
from typing import Any

import pytest
import torch
from torch.nn.functional import gelu, layer_norm

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.efficiency.count import count
from trainables.models import auxiliary
from trainables.models.attention import softmax
from trainables.models.block import MLP, Branch, Layers
from trainables.models.geometry import Geometry
from trainables.models.reduction import dynamicvit

GEOMETRY = Geometry(width=12, heads=3, grid=(3, 4))
N, D, H = GEOMETRY.tokens, GEOMETRY.width, GEOMETRY.heads
DEPTH, HIDDEN = 4, 1e-6


def layers(geometry: Geometry = GEOMETRY, **changes: Any) -> Layers:
    branch = Branch(
        width=geometry.width, dropout=0.0, drop_path=0.0, layer_scale=None, norm_eps=1e-6
    )
    mixer = partial(softmax.Attention, geometry, softmax.Config(qkv_bias=True))
    feed = partial(MLP, geometry.width, 2 * geometry.width, 0.0)
    return Layers(geometry=geometry, branches=[branch] * DEPTH, mixer=mixer, feed=feed, **changes)


def trunk(geometry: Geometry = GEOMETRY, **config: Any) -> Any:
    torch.manual_seed(0)
    return dynamicvit.Trunk(layers(geometry), dynamicvit.Config(**config)).double()


def tokens() -> torch.Tensor:
    return torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def better_half(scores: torch.Tensor) -> torch.Tensor:
    """Instead of a draw: 1 for the better half of (patches, 2) or of every image's."""
    p = scores.softmax(dim=-1)[..., 0]
    return (p >= p.median(dim=-1, keepdim=True).values).double() + p - p.detach()


def scored(predictor: Any, patches: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """Of one image's (patches, D)."""
    norm, linear, _ = predictor.inward
    inner = gelu(linear(layer_norm(patches, (D,), norm.weight, norm.bias, eps=1e-5)))
    shared = sum(
        (w * row for w, row in zip(kept, inner[:, D // 2 :], strict=True)), torch.zeros(())
    )
    rows = [torch.cat((row, shared / kept.sum())) for row in inner[:, : D // 2]]
    return predictor.outward(torch.stack(rows))


def layer(block: Any, image: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """A block with weights exp(score) for keys that are kept, and for every token's own."""
    seen = torch.cat((torch.ones(1).double(), kept))
    own = torch.eye(len(seen)).double()
    seen = own + (1 - own) * (seen + HIDDEN * (1 - seen))
    mixed = []
    for q, k, v in block.mixer.qkv(block.norm(image)).unflatten(1, (3, H, -1)).permute(2, 1, 0, 3):
        weights = (q @ k.T / sqrt(D // H)).exp() * seen
        mixed.append(weights / weights.sum(dim=1, keepdim=True) @ v)
    image = image + block.mixer.out(torch.cat(mixed, dim=1))
    return image + block.feed(image)


def trained(module: Any, image: torch.Tensor) -> torch.Tensor:
    kept = torch.ones(N - 1).double()
    for index, block in enumerate(module.blocks):
        if index:
            scores = scored(module.predictors[str(index)], image[1:], kept)
            kept = better_half(scores) * kept
        image = layer(block, image, kept)
    return image


def evaluated(module: Any, image: torch.Tensor, counts: list[int]) -> torch.Tensor:
    for index, block in enumerate(module.blocks):
        if index:
            ones = torch.ones(len(image) - 1).double()
            scores = scored(module.predictors[str(index)], image[1:], ones)
            worth = scores.softmax(dim=1)[:, 0].tolist()
            ranked = sorted(range(len(worth)), key=worth.__getitem__, reverse=True)
            image = torch.stack([image[0], *(image[1 + j] for j in ranked[: counts[index - 1]])])
        image = layer(block, image, torch.ones(len(image) - 1).double())
    return image


def assert_same_gradients(ours: torch.Tensor, theirs: torch.Tensor, sources: list) -> None:
    weights = torch.randn_like(theirs)
    assert_exact(ours, theirs)
    gradients = [
        torch.autograd.grad((y * weights).sum(), sources, allow_unused=True) for y in (ours, theirs)
    ]
    for one, other in zip(*gradients, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert_exact(one, other)


def test_evaluation_equals_a_loop_over_images():
    module, x = trunk(keep_rate=0.7).eval(), tokens()
    theirs = torch.stack([evaluated(module, image, [8, 5, 4]) for image in x])
    assert theirs.shape[1] == 5
    assert_same_gradients(module(x), theirs, [x, *module.parameters()])


def test_training_equals_a_loop_over_images(monkeypatch):
    monkeypatch.setattr(dynamicvit, "draw", better_half)
    module, x = trunk().train(), tokens()
    theirs = torch.stack([trained(module, image) for image in x])
    assert_same_gradients(module(x), theirs, [x, *module.parameters()])


@pytest.mark.parametrize(("rate", "kept"), [(0.9, [176, 158, 142]), (0.7, [137, 96, 67])])
def test_evaluation_keeps_exactly_its_share(rate, kept):
    module, seen = trunk(Geometry(width=4, heads=1, grid=(14, 14)), keep_rate=rate).eval(), []
    for block in module.blocks:
        block.norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[1] - 1))
    module(torch.randn(2, 197, 4).double())
    assert seen == [196, *kept]


@pytest.mark.slow
def test_the_share_of_training_approaches_that_of_evaluation():
    module, shares = trunk(Geometry(width=8, heads=2, grid=(5, 5)), keep_rate=0.7).float(), []
    for predictor in module.predictors.values():
        predictor.outward[-1].bias.data = torch.tensor([1.0, -1.0])
    for block in module.blocks[1:]:
        block.register_forward_pre_hook(lambda _, given: shares.append(given[1].mean().item()))
    optimizer = torch.optim.Adam(module.parameters(), lr=0.01)
    x = torch.randn(16, 26, 8)
    for _ in range(100):
        with auxiliary.collected() as losses:
            module(x)
        optimizer.zero_grad()
        losses["kept_share"].backward()
        optimizer.step()
    before, after = (torch.tensor(s).view(-1, 3).mean(dim=0) for s in (shares[:9], shares[-60:]))
    wanted = torch.tensor([0.7, 0.49, 0.343])
    assert (before - wanted).min() > 0.15
    torch.testing.assert_close(after, wanted, rtol=0, atol=0.04)


def test_the_loss_is_the_mean_square_miss_of_every_image(monkeypatch):
    kept = torch.zeros(2, N - 1).double()
    kept[0, :3], kept[1, :9] = 1, 1  # shares 1/4 and 3/4
    monkeypatch.setattr(dynamicvit, "draw", lambda _: kept)
    module = trunk(keep_rate=0.5, ratio_weight=3.0).train()
    with auxiliary.collected() as losses:
        module(tokens())
    misses = [(share - wanted) ** 2 for share in (0.25, 0.75) for wanted in (0.5, 0.25, 0.125)]
    assert losses["kept_share"].item() == pytest.approx(3 * sum(misses) / 6)
    with auxiliary.collected() as losses:
        module.eval()(tokens())
    assert losses == {}


@pytest.mark.parametrize(("depth", "places"), [(12, [3, 6, 9]), (6, [1, 3, 4]), (2, [1]), (1, [])])
def test_predictors_are_spread_over_every_depth(depth, places):
    shape = {"depth": depth, "dim": 8, "heads": 2, "grid": 4, "stages": 3, "keep_rate": 0.5}
    model: Any = models.build("dynamicvit", shape, image_size=8, num_classes=2).eval()
    assert list(map(int, model.blocks.predictors)) == places
    assert model.blocks(torch.randn(1, 17, 8)).shape[1] == 1 + 16 // 2 ** len(places)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_draws_are_not_made_in_half_precision(dtype, monkeypatch):
    kinds = []
    monkeypatch.setattr(dynamicvit, "gumbel_softmax", lambda x, **_: kinds.append(x.dtype) or x)
    assert dynamicvit.draw(torch.zeros(1, 3, 2, dtype=dtype)).dtype == dtype
    assert kinds == [torch.float32]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_draws_follow_the_probabilities(dtype):
    torch.manual_seed(0)
    scores = torch.tensor([0.9, 0.1]).log().to(dtype).expand(4, 5000, 2).requires_grad_()
    kept = dynamicvit.draw(scores)
    assert set(kept.unique().tolist()) == {0, 1}
    assert kept.float().mean().item() == pytest.approx(0.9, abs=0.01)
    (gradient,) = torch.autograd.grad(kept.sum(), scores)
    assert gradient.isfinite().all()
    assert gradient.any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_hidden_keys_have_gradients_in_half_precision(dtype):
    q, k, v = torch.randn(3, 2, H, N, 4, generator=torch.Generator().manual_seed(0)).double()
    gradients = []
    for kind in (torch.float64, dtype):
        kept = (torch.arange(N - 1) % 2).to(kind).expand(2, -1).requires_grad_()
        with torch.autocast("cpu", dtype=dtype, enabled=kind is dtype):
            mixed = dynamicvit.partial_attention(*(t.to(kind) for t in (q, k, v)), kept)
        gradients.append(torch.autograd.grad(mixed.square().sum() / 1000, kept)[0])
    # of the keys that are hidden, whose weight no half precision holds
    hidden = [gradient[:, ::2].double() for gradient in gradients]
    torch.testing.assert_close(hidden[1], hidden[0], rtol=0.05, atol=1e-4)


def test_no_patch_kept_is_no_number_divided_by_none(monkeypatch):
    monkeypatch.setattr(dynamicvit, "draw", lambda scores: 0 * scores[..., 0])
    module, x = trunk().train(), tokens()
    y = module(x)
    y.sum().backward()
    assert y.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


def test_the_logits_train_the_predictors():
    module = trunk().train()
    module(tokens())[:, 0].square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in module.predictors.parameters())


@pytest.mark.parametrize(("rate", "gflops"), [(0.9, 4.092), (0.7, 3.018)])
def test_operations_at_the_rates_of_the_paper(rate, gflops):
    params = {**models.published("dynamicvit")["Dynamic ViT-S/16"], "keep_rate": rate}
    with torch.device("meta"):
        model = models.build("dynamicvit", params, image_size=224, num_classes=1000)
    counts = count(model, 224)
    assert counts.gflops == pytest.approx(gflops, abs=0.003)
    assert counts.params == 22_774_414


def test_all_that_cannot_be_built_is_told_at_once():
    geometry = Geometry(width=6, heads=H, grid=(3, 4), prefix=0)
    with pytest.raises(ValueError, match="class_token must be True and class_depth 0") as caught:
        dynamicvit.Trunk(layers(geometry, block="post_norm"), dynamicvit.Config())
    assert "block must be 'pre_norm', given 'post_norm'" in str(caught.value)
    assert "dim=6 must be a multiple of 4" in str(caught.value)


def test_all_wrong_values_are_told_at_once():
    wrong = dynamicvit.Config(keep_rate=1.5, stages=0, ratio_weight=-1.0)
    assert wrong.mistakes(224) == [
        "keep_rate must lie in (0, 1], given 1.5",
        "stages must be at least 1, given 0",
        "ratio_weight must be at least 0, given -1.0",
    ]
