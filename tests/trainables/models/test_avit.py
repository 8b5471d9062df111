"""A-ViT is a loop over tokens, each of which remembers whether it has halted."""

from math import exp, log, pi, sqrt
from typing import Any

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.efficiency.count import count
from trainables.models import auxiliary

pytestmark = pytest.mark.usefixtures("one_thread")
SHELL = {"depth": 5, "dim": 8, "heads": 2, "grid": 3, "qkv_bias": True}
SIZES = {"image_size": 12, "num_classes": 3}
GATE = {"gate_scale": 2.0, "gate_center": 1.5}
B, N, D = 3, 10, 8


def trunk(**params) -> Any:
    torch.manual_seed(0)
    return models.build("avit", SHELL | GATE | params, **SIZES).blocks.double()


def tokens() -> torch.Tensor:
    torch.manual_seed(2)
    x = torch.randn(B, N, D, dtype=torch.float64)
    x[1, 0, 0] = 4.0  # a class token that halts early
    return x.requires_grad_()


def block_by_loops(block: Any, x: torch.Tensor, alive: list[int]) -> torch.Tensor:
    """Of one sample (N, D); whoever has halted is no key."""
    heads = block.mixer.heads
    q, k, v = block.mixer.qkv(block.norm(x)).unflatten(1, (3, heads, -1)).unbind(1)
    rows = []
    for query in q:
        mixed = []
        for h in range(heads):
            scores = torch.stack([query[h] @ k[j, h] / query[h].numel() ** 0.5 for j in alive])
            mixed.append(scores.softmax(dim=0) @ v[alive, h])
        rows.append(torch.cat(mixed))
    x = x + block.mixer.out(torch.stack(rows))
    return x + block.feed(x)


def by_loops(module: Any, x: torch.Tensor, scale: float, center: float):
    """Class tokens (B, 1, D), blocks taken with what was left (B N), scores of patches (depth)."""
    outputs, ponder, taken = [], [], []
    depth = len(module.blocks)
    scores = [x.new_zeros(()) for _ in range(depth)]
    for sample in x:
        state, alive = sample, list(range(N))
        spent, output = [x.new_zeros(()) for _ in range(N)], x.new_zeros(D)
        for index, block in enumerate(module.blocks):
            if alive:
                state = block_by_loops(block, state, alive)
            for token in list(alive):
                h = torch.sigmoid(scale * state[token, 0] - center)
                halts = index == depth - 1 or bool(spent[token] + h > 0.99)
                share = 1 - spent[token] if halts else h
                output = output + share * state[token] * (token == 0)
                scores[index] = scores[index] + h * (token > 0)
                if halts:
                    alive.remove(token)
                    taken.append(index + 1)
                    ponder.append(index + 1 + 1 - spent[token])
                spent[token] = spent[token] + h
        outputs.append(output)
    return torch.stack(outputs).unsqueeze(1), ponder, torch.stack(scores), taken


def distance(shares: torch.Tensor, target: int) -> torch.Tensor:
    """The prior's, as the authors have it: not of a distribution, and a mean over the blocks."""
    densities = [exp(-((depth - target) ** 2) / 2) / sqrt(2 * pi) for depth in range(len(shares))]
    scale = 0.98 / sum(densities[:target])
    terms = [
        d * scale * (log(d * scale) - share.log())
        for d, share in zip(densities, shares, strict=True)
    ]
    return torch.stack(terms).mean()


def test_the_prior_has_the_scale_of_the_published_code():
    """At 12 blocks around the 8th its target sums to 3.26: the loss is 3.7 times smaller."""
    none_halts = trunk(depth=12, gate_center=30.0, prior_weight=1.0).train()
    with auxiliary.collected() as losses:
        none_halts(tokens())
    shares = by_loops(none_halts, tokens(), 2.0, 30.0)[2]
    shares = (shares / shares.sum()).clamp(0.01, 0.99)
    assert_exact(losses["halting_prior"], distance(shares, 8))
    normal = torch.tensor([-((depth - 8.0) ** 2) / 2 for depth in range(12)]).double().exp()
    assert (normal / normal[:8].sum() * 0.98).sum().item() == pytest.approx(3.261, abs=1e-3)


def all_tokens_scores(module: Any, x: torch.Tensor, scale: float, center: float) -> torch.Tensor:
    """Of every block the mean score of all tokens of all images but the first, halted ones too.

    As published: their values are 0 wherever a block reads them, the gradient passes the first
    time as if they were not.
    """
    alive, spent = torch.ones(B, N, 1, dtype=torch.bool), torch.zeros(B, N, 1).double()
    means = []
    for block in module.blocks:
        x = torch.where(alive, x, x - x.detach())
        q, k, v = block.mixer.qkv(block.norm(x * alive) * alive).unflatten(2, (3, 2, -1)).unbind(2)
        scores = torch.einsum("bnhe,bmhe->bhnm", q, k) / q.shape[3] ** 0.5
        weights = scores.masked_fill(~alive[:, None, None, :, 0], -torch.inf).softmax(dim=3)
        x = x + block.mixer.out(torch.einsum("bhnm,bmhe->bnhe", weights, v).flatten(2))
        x = x + block.feed[1](block.feed[0](x * alive) * alive)
        h = torch.sigmoid(scale * x[..., :1] - center)
        means.append(h[1:].mean())
        spent = spent + h
        alive = alive & (spent <= 0.99)
    return torch.stack(means)


def test_published_scores_are_those_of_all_tokens():
    assert models.published("avit")["A-ViT-S/16"]["faithful"]
    module, x = trunk(faithful=True, prior_weight=3.0, target_share=0.6).train(), tokens()
    with auxiliary.collected() as losses:
        output = module(x)
    expected, ponder, _, taken = by_loops(module, x, 2.0, 1.5)
    assert set(taken) == {1, 2, 3, 4, 5}
    assert_exact(output, expected)
    assert_exact(losses["ponder"], 1e-3 * torch.stack(ponder).mean())
    scores = all_tokens_scores(module, x, 2.0, 1.5)
    prior = 3 * distance((scores / scores.sum()).clamp(0.01, 0.99), 3)
    assert_exact(losses["halting_prior"], prior)
    sources, weights = [x, *module.parameters()], torch.randn_like(output)
    loss = (expected * weights).sum() + 1e-3 * torch.stack(ponder).mean() + prior
    ours = (output * weights).sum() + sum(losses.values())
    assert_exact(gradients(ours, sources), gradients(loss, sources))
    with auxiliary.collected() as losses:
        module(x[:1])  # of a single image there is no other
    assert losses["halting_prior"].isfinite()


def gradients(loss: torch.Tensor, sources: list[torch.Tensor]):
    return torch.autograd.grad(loss, sources, retain_graph=True, materialize_grads=True)


def test_equals_loops_with_losses_and_gradients():
    module, x = trunk(ponder_weight=2.0, prior_weight=3.0, target_share=0.6), tokens()
    expected, ponder, scores, taken = by_loops(module, x, 2.0, 1.5)
    assert set(taken) == {1, 2, 3, 4, 5}
    with auxiliary.collected() as losses:
        output = module.train()(x)
    assert_exact(output, expected)
    assert_exact(losses["ponder"], 2 * torch.stack(ponder).mean())
    shares = (scores / scores.sum()).clamp(0.01, 0.99)
    prior = 3 * distance(shares, 3)
    assert_exact(losses["halting_prior"], prior)
    sources, weights = [x, *module.parameters()], torch.randn_like(output)
    loss = (expected * weights).sum() + 2 * torch.stack(ponder).mean() + prior
    ours = (output * weights).sum() + sum(losses.values())
    assert_exact(gradients(ours, sources), gradients(loss, sources))


def test_evaluation_equals_loops_and_hears_no_losses():
    module, x = trunk().eval(), tokens()
    with auxiliary.collected() as losses:
        output = module(x)
    expected = by_loops(module, x, 2.0, 1.5)[0]
    assert_exact(output, expected)
    assert losses == {}
    sources, weights = [x, *module.parameters()], torch.randn_like(output)
    ours, theirs = ((o * weights).sum() for o in (output, expected))
    assert_exact(gradients(ours, sources), gradients(theirs, sources))


def seen_tokens(module: Any, x: torch.Tensor) -> list[int]:
    seen: list[int] = []
    hooks = [
        block.register_forward_hook(lambda _module, given, _out: seen.append(given[0].shape[1]))
        for block in module.blocks
    ]
    module(x)
    for hook in hooks:
        hook.remove()
    return seen


def test_a_batch_keeps_as_many_tokens_as_its_largest_image():
    module, x = trunk().eval(), tokens()
    alone = [seen_tokens(module, sample.unsqueeze(0)) for sample in x]
    assert len(alone[1]) == 1  # its class token halts
    longest = max(map(len, alone))
    padded = [seen + [0] * (longest - len(seen)) for seen in alone]
    together = seen_tokens(module, x)
    assert together == [max(counts) for counts in zip(*padded, strict=True)]
    assert together[0] == N > together[-1]


def test_where_nobody_halts_it_is_the_plain_shell():
    torch.manual_seed(0)
    plain = models.build("vit", SHELL, **SIZES).double()
    ours = models.build("avit", SHELL | {"gate_center": 75.0}, **SIZES).double()
    state = zip(ours.state_dict(), plain.state_dict().values(), strict=True)
    ours.load_state_dict(dict(state))
    images = torch.randn(2, 3, 12, 12, dtype=torch.float64)
    assert_exact(ours(images), plain(images))
    with auxiliary.collected() as losses:
        ours.train()(images)
    assert_exact(losses["ponder"].item(), 1e-3 * (5 + 1))
    none = models.build("avit", SHELL | {"gate_center": 1e4}, **SIZES)  # scores of exactly 0
    with auxiliary.collected() as losses:
        none.train()(images.float())
    assert losses["halting_prior"].isfinite()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_blocks_that_all_have_left_still_train_in_half_precision(dtype):
    module = trunk(gate_center=-30.0).float().train()
    with torch.autocast("cpu", dtype=dtype), auxiliary.collected() as losses:
        output = module(torch.randn(2, N, D))
    (output.square().sum() + sum(losses.values())).backward()
    assert losses["ponder"].item() == pytest.approx(1e-3 * 2)
    first, second, *_ = ([p.grad for p in block.parameters()] for block in module.blocks)
    assert all(grad is not None for grad in second)  # workers wait for all gradients
    assert all(grad.isfinite().all() for grad in first + second)
    assert any(grad.any() for grad in first)
    assert not any(grad.any() for grad in second)


def test_counts():
    published = {**models.published("avit")["A-ViT-S/16"]}
    with torch.device("meta"):
        model = models.build("avit", published, image_size=224, num_classes=1000)
    assert sum(p.numel() for p in model.parameters()) == 22_050_664
    shell = SHELL | {"dim": 64, "grid": 14, "gate_center": -30.0}
    halting, one_block, full = (
        count(models.build("avit", shell | change, image_size=56, num_classes=3), 56).gflops
        for change in ({}, {"depth": 1}, {"gate_center": 75.0})
    )
    assert halting == pytest.approx(one_block, rel=0.01)
    assert full > 4 * halting


def test_all_that_cannot_be_built_is_told_at_once():
    with pytest.raises(ValueError, match="gate_scale must be above 0, given 0") as told:
        trunk(gate_scale=0.0, target_share=2.0)
    assert "target_share must lie in [0, 1], given 2.0" in str(told.value)
    with pytest.raises(ValueError, match="class_token must be True and class_depth 0") as told:
        trunk(class_depth=1, block="post_norm")
    assert "block must be 'pre_norm', given 'post_norm'" in str(told.value)
