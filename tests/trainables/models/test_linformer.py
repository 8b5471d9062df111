"""Linformer is exact softmax attention where nothing is shortened, and its equation elsewhere."""

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import gelu, layer_norm

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.models.attention import linformer, softmax
from trainables.models.geometry import Geometry
from trainables.models.resize import resize

GEOMETRY = Geometry(width=12, heads=3, grid=(2, 3))
N, D = GEOMETRY.tokens, GEOMETRY.width


def attention(k_dim: int, **config) -> linformer.Attention:
    torch.manual_seed(0)
    module = linformer.Attention(GEOMETRY, linformer.Config(k_dim=k_dim, **config))
    return module.double()


def tokens() -> torch.Tensor:
    return torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def by_matrices(module: linformer.Attention, x: torch.Tensor) -> torch.Tensor:
    """A loop over samples and heads of equation 7."""
    width, mixed = D // module.heads, []
    for sample in x:
        query = sample @ module.q.weight.T
        key = sample @ module.kv.weight[:D].T
        value = key if module.shared_kv else sample @ module.kv.weight[D:].T
        key, value = module.projection[0] @ key, module.projection[-1] @ value
        heads = []
        for head in range(module.heads):
            at = slice(head * width, (head + 1) * width)
            scores = query[:, at] @ key[:, at].T / math.sqrt(width)
            weights = scores.exp() / scores.exp().sum(dim=1, keepdim=True)
            heads.append(weights @ value[:, at])
        mixed.append(torch.cat(heads, dim=1) @ module.out.weight.T + module.out.bias)
    return torch.stack(mixed)


def equal_softmax(module: linformer.Attention) -> softmax.Attention:
    """Softmax attention with the same weights."""
    other = softmax.Attention(GEOMETRY, softmax.Config()).double()
    queries, keys_values = module.q.weight, module.kv.weight
    values = keys_values[-D:]  # of shared_kv the keys themselves
    other.load_state_dict(
        {
            "qkv.weight": torch.cat((queries, keys_values[:D], values)),
            "out.weight": module.out.weight,
            "out.bias": module.out.bias,
        }
    )
    return other


@pytest.mark.parametrize("shared_kv", [False, True])
def test_nothing_shortened_is_softmax_attention(shared_kv):
    module, x = attention(N, shared_kv=shared_kv), tokens()
    other = equal_softmax(module)
    assert not torch.allclose(module(x), other(x))
    with torch.no_grad():
        module.projection.copy_(torch.eye(N).expand_as(module.projection))
    assert_exact(module(x), other(x))
    weights = torch.randn_like(x)
    ours, theirs = (torch.autograd.grad((m(x) * weights).sum(), x) for m in (module, other))
    assert_exact(ours, theirs)


cases = pytest.mark.parametrize(
    ("k_dim", "config"),
    [
        (1, {}),
        (3, {}),
        (3, {"shared_kv": True}),
        (N, {}),
        (N + 4, {"faithful": True}),
        (N + 4, {"faithful": True, "shared_kv": True}),
    ],
)


@cases
def test_equals_the_equation(k_dim, config):
    module, x = attention(k_dim, **config), tokens()
    assert_exact(module(x), by_matrices(module, x))


@cases
def test_gradients_equal_those_of_the_equation(k_dim, config):
    module, x = attention(k_dim, **config), tokens()
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_matrices(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)


class Marked(torch.nn.Module):
    """In place of a random dropout one that is known: every third value is 0, the others 1.5."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.p:
            return x
        kept = torch.arange(x.numel(), device=x.device).remainder(3) > 0
        return x * kept.view(x.shape) * 1.5


def layer_by_matrices(block: Any, x: torch.Tensor, rate: float) -> torch.Tensor:
    """A block: the weights and the hidden channels are dropped, what is added is not."""
    drop = Marked(rate)
    (before, mixer), (after, mlp) = block.mix[:2], block.feed[:2]
    normed = layer_norm(x, (D,), before.weight, before.bias, eps=1e-5)
    width, heads = D // mixer.heads, []
    q, (k, v) = mixer.q(normed), mixer.kv(normed).chunk(2, dim=2)
    k, v = mixer.projection[0] @ k, mixer.projection[1] @ v
    scores = [q[..., at] @ k[..., at].mT / width**0.5 for at in torch.arange(D).split(width)]
    weights = drop(torch.stack(scores, dim=1).softmax(dim=3))
    heads = [weights[:, i] @ v[..., at] for i, at in enumerate(torch.arange(D).split(width))]
    x = x + mixer.out(torch.cat(heads, dim=2))
    normed = layer_norm(x, (D,), after.weight, after.bias, eps=1e-5)
    return x + mlp[3](drop(gelu(mlp[0](normed))))


@pytest.mark.parametrize("rate", [0.0, 0.1])
def test_dropout_falls_where_the_galaxy_papers_library_has_it(rate, monkeypatch):
    monkeypatch.setattr(torch.nn, "Dropout", Marked)
    own = {"depth": 2, "dim": D, "heads": 3, "grid": 3, "k_dim": 4, "dropout": rate}
    torch.manual_seed(0)
    model: Any = models.build("linformer", own, image_size=9, num_classes=2).double().train()
    x = torch.randn(2, 10, D, dtype=torch.float64, requires_grad=True)
    theirs = x
    for block in model.blocks:
        theirs = layer_by_matrices(block, theirs, rate)
    ours = model.blocks(x)
    assert_exact(ours, theirs)
    sources, weights = [x, *model.blocks.parameters()], torch.randn_like(x)
    gradients = [torch.autograd.grad((y * weights).sum(), sources) for y in (ours, theirs)]
    assert_exact(*gradients)
    resized: Any = resize(model, 18)
    assert resized.blocks[1].mix[1].dropout.p == rate


def test_the_galaxy_papers_rows_have_their_dropout():
    rows = [row for row in models.published("linformer").values() if row.get("dropout")]
    assert [row["dropout"] for row in rows] == [0.1] * 26
    for row in rows:
        with torch.device("meta"):
            model = models.build("linformer", row, image_size=224, num_classes=8)
        rates = {path: m.p for path, m in model.named_modules() if isinstance(m, torch.nn.Dropout)}
        dropped = {path for path, rate in rates.items() if rate and path != "dropout"}
        depth = range(row["depth"])
        assert dropped == {
            *(f"blocks.{i}.mix.1.dropout" for i in depth),
            *(f"blocks.{i}.feed.1.2" for i in depth),
        }


@pytest.mark.parametrize(("shared_kv", "lengths"), [(False, 2), (True, 1)])
def test_weights_of_a_layer(shared_kv, lengths):
    module = attention(4, shared_kv=shared_kv)
    assert module.projection.shape == (lengths, 4, N)
    assert module.kv.weight.shape == (lengths * D, D)
    assert module.projection.abs().max() <= 4**-0.5
    assert (module.q.bias, module.kv.bias) == (None, None)
