"""Reformer is full attention with shared queries and keys where two chunks hold every token."""

from math import sqrt

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention import reformer
from trainables.models.geometry import Geometry

GEOMETRY = Geometry(width=12, heads=3, grid=(3, 4))
N, D = GEOMETRY.tokens, GEOMETRY.width  # 13 tokens


def attention(**config) -> reformer.Attention:
    torch.manual_seed(0)
    return reformer.Attention(GEOMETRY, reformer.Config(**config)).double()


def tokens() -> torch.Tensor:
    return torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def rounds_of_chunks(module: reformer.Attention, qk: torch.Tensor) -> list[list[list[int]]]:
    """Of each round its tokens, sorted by bucket and place, padding behind them, chunk by chunk."""
    rounds = []
    for rotation in module.rotations:
        turned = qk @ rotation
        buckets = torch.cat((turned, -turned), dim=1).argmax(dim=1).tolist()
        size, count = module.config.bucket_size, len(buckets)
        order = sorted(range(count), key=lambda token, found=buckets: (found[token], token))
        order += range(count, module.padded)
        rounds.append([order[start : start + size] for start in range(0, len(order), size)])
    return rounds


def times_seen(module: reformer.Attention, qk: torch.Tensor) -> torch.Tensor:
    """How often which token sees which in each round, (rounds, tokens, tokens).

    As published, what is before the first chunk of a round is the last one of the round before it,
    or of the last; otherwise it is the round's own.
    """
    rounds = rounds_of_chunks(module, qk)
    seen = torch.zeros(len(rounds), module.padded, module.padded, dtype=torch.float64)
    for index, chunks in enumerate(rounds):
        last = rounds[index - 1][-1] if module.config.faithful else chunks[-1]
        for chunk, before in zip(chunks, [last, *chunks[:-1]], strict=True):
            for token in chunk:
                for other in chunk + before:
                    seen[index, token, other] += 1
    return seen[:, : len(qk), : len(qk)]


def by_matrices(
    module: reformer.Attention, x: torch.Tensor, *, everywhere: bool = False
) -> torch.Tensor:
    """One softmax over the keys of all rounds; `everywhere` lets every token see all others."""
    rows = []
    if module.config.faithful:
        x = torch.cat((x, x.new_zeros(len(x), module.padded - N, D)), dim=1)
    for sample in x:
        heads = []
        for at in torch.arange(D).split(D // 3):
            qk = sample @ module.qk.weight[at].T + module.qk.bias[at]
            scores = qk @ (qk / qk.norm(dim=1, keepdim=True)).T / sqrt(D // 3)
            itself = torch.eye(len(scores), dtype=torch.bool)
            scores = scores.masked_fill(itself, -5e4)
            seen = times_seen(module, qk.detach())
            counts = torch.ones_like(seen) if everywhere else seen
            rounds = (scores + counts.log()).transpose(0, 1)
            weights = rounds.flatten(1).softmax(dim=1).unflatten(1, rounds.shape[1:]).sum(dim=1)
            heads.append(weights @ (sample @ module.v.weight[at].T + module.v.bias[at]))
        rows.append(torch.cat(heads, dim=1) @ module.out.weight.T + module.out.bias)
    return torch.stack(rows)[:, :N]


def assert_same(module: reformer.Attention, x: torch.Tensor, **how: bool) -> None:
    assert_exact(module(x), by_matrices(module, x, **how))
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_matrices(module, x, **how) * weights).sum(), sources)
    assert_exact(ours, theirs)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("bucket_size", "hashes"), [(7, 1), (7, 3), (N, 2)])
def test_two_chunks_see_everything(bucket_size, hashes, training):
    module = attention(bucket_size=bucket_size, hashes=hashes).train(training)
    assert_same(module, tokens(), everywhere=True)


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize(("bucket_size", "hashes"), [(1, 1), (2, 1), (2, 3), (3, 2), (4, 2)])
def test_equals_a_loop_over_chunks(bucket_size, hashes, faithful):
    module = attention(bucket_size=bucket_size, hashes=hashes, faithful=faithful).eval()
    assert_same(module, tokens())


def test_published_rounds_look_back_at_each_other():
    """The paper's rounds do not: each is a ring of its own."""
    module, x = attention(bucket_size=2, hashes=3, faithful=True).eval(), tokens()
    across = module(x)
    assert_exact(across, by_matrices(module, x))
    rolled = reformer.with_previous
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reformer, "with_previous", lambda c, **_: rolled(c, across_rounds=False))
        assert not torch.allclose(module(x), across)
    chunks = torch.arange(2 * 3 * 1 * 4 * 2).view(2, 3, 1, 4, 2)  # of one round
    assert torch.equal(*(rolled(chunks, across_rounds=several) for several in (False, True)))


def test_training_draws_its_rotations_anew():
    module, x = attention(bucket_size=2).train(), tokens()
    torch.manual_seed(3)
    mixed = module(x)
    torch.manual_seed(3)
    module.rotations = torch.randn(2, D // 3, 4).double()
    assert_exact(mixed, by_matrices(module, x))
    assert not torch.equal(mixed, module(x))


def test_published_padding_is_attended_to():
    x = tokens()
    ours, published = (attention(bucket_size=7, faithful=f).eval()(x) for f in (False, True))
    assert not torch.allclose(ours, published)


def test_half_precision_is_finite():
    module, x = attention(bucket_size=2).float(), 1000 * tokens().float()
    with torch.autocast("cpu", dtype=torch.float16):
        half = module(x)
    assert half.isfinite().all()
    half.float().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"bucket_size": 0}, "bucket_size=0 must lie between 1 and the 13 tokens"),
        ({"bucket_size": 14}, "bucket_size=14 must lie between 1 and the 13 tokens"),
        ({"bucket_size": 2, "hashes": 0}, "hashes must be at least 1, given 0"),
    ],
)
def test_what_cannot_be_built_is_refused(config, message):
    with pytest.raises(ValueError, match=message):
        attention(**config)
    uneven = Geometry(width=8, heads=3, grid=(2, 3))
    with pytest.raises(ValueError, match="heads=3 must divide dim=8"):
        reformer.Attention(uneven, reformer.Config(bucket_size=2))
