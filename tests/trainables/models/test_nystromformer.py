"""Nyströmformer is softmax attention where every token is a landmark, its formula elsewhere."""

import math

import pytest
import torch

from tests.trainables.models.exact import assert_exact
from trainables.models.attention import nystromformer, softmax
from trainables.models.geometry import Geometry

GEOMETRY = Geometry(width=12, heads=3, grid=(2, 3))
N, D = GEOMETRY.tokens, GEOMETRY.width


def attention(landmarks: int, **config) -> nystromformer.Attention:
    torch.manual_seed(0)
    module = nystromformer.Attention(GEOMETRY, nystromformer.Config(landmarks=landmarks, **config))
    return module.double()


def tokens() -> torch.Tensor:
    return torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def attended(query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
    scores = query @ key.T / math.sqrt(query.shape[1])
    return scores.exp() / scores.exp().sum(dim=1, keepdim=True)


def pseudo_inverse(kernel: torch.Tensor, steps: int) -> torch.Tensor:
    eye = torch.eye(len(kernel), dtype=kernel.dtype)
    inverse = kernel.T / kernel.sum(dim=0).max()
    for _ in range(steps):
        nested = 15 * eye - kernel @ inverse @ (7 * eye - kernel @ inverse)
        inverse = inverse @ (13 * eye - kernel @ inverse @ nested) / 4
    return inverse


def by_matrices(module: nystromformer.Attention, x: torch.Tensor) -> torch.Tensor:
    """A loop over samples, heads and segments."""
    config, rows = module.config, []
    short = N // config.landmarks
    sizes = [short] * (config.landmarks * (short + 1) - N)
    sizes += [short + 1] * (config.landmarks - len(sizes))
    for sample in x @ module.qkv.weight.T + module.qkv.bias:
        heads, values = [], []
        for query, key, value in sample.unflatten(1, (3, 3, -1)).permute(2, 1, 0, 3):
            query_marks, key_marks = (
                torch.stack([segment.mean(dim=0) for segment in tensor.split(sizes)])
                for tensor in (query, key)
            )
            inverse = pseudo_inverse(attended(query_marks, key_marks), config.iterations)
            mixed = attended(query, key_marks) @ inverse @ attended(query_marks, key) @ value
            heads.append(mixed)
            values.append(value)
        projected = torch.cat(heads, dim=1) @ module.out.weight.T + module.out.bias
        rows.append(projected + torch.cat(values, dim=1) if config.value_skip else projected)
    return torch.stack(rows)


@pytest.mark.parametrize("faithful", [False, True])
def test_every_token_a_landmark_is_softmax_attention(faithful):
    module, x = attention(N, iterations=30, value_skip=False, faithful=faithful), tokens()
    other = softmax.Attention(GEOMETRY, softmax.Config(qkv_bias=True)).double()
    other.load_state_dict(module.state_dict())
    assert_exact(module(x), other(x))
    weights = torch.randn_like(x)
    ours, theirs = (torch.autograd.grad((m(x) * weights).sum(), x) for m in (module, other))
    assert_exact(ours, theirs)


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize("value_skip", [False, True])
@pytest.mark.parametrize("landmarks", [1, 3, 4, N])
def test_equals_the_formula(landmarks, value_skip, faithful):
    module, x = attention(landmarks, value_skip=value_skip, faithful=faithful), tokens()
    assert_exact(module(x), by_matrices(module, x))
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours = torch.autograd.grad((module(x) * weights).sum(), sources)
    theirs = torch.autograd.grad((by_matrices(module, x) * weights).sum(), sources)
    assert_exact(ours, theirs)


def test_the_longer_segments_come_last():
    means = nystromformer.segment_means(torch.arange(197.0).unsqueeze(1), 64).flatten()
    assert means[:59].tolist() == [3.0 * segment + 1 for segment in range(59)]
    assert means[59:].tolist() == [177 + 4.0 * segment + 1.5 for segment in range(5)]


@pytest.mark.parametrize("faithful", [False, True])
def test_half_precision_keeps_the_inverse(faithful):
    module, x = attention(N, faithful=faithful).float(), 300 * tokens().detach().float()
    with torch.autocast("cpu", dtype=torch.float16):
        half = module(x)
    assert half.isfinite().all()
    torch.testing.assert_close(half.float(), module(x), rtol=0.05, atol=0.01 * float(x.std()))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"landmarks": 0}, "landmarks=0 must lie between 1 and the 7 tokens"),
        ({"landmarks": 8}, "landmarks=8 must lie between 1 and the 7 tokens"),
        ({"landmarks": 2, "iterations": 0}, "iterations must be at least 1, given 0"),
    ],
)
def test_what_cannot_be_built_is_refused(config, message):
    with pytest.raises(ValueError, match=message):
        attention(**config)
    uneven = Geometry(width=8, heads=3, grid=(2, 3))
    with pytest.raises(ValueError, match="heads=3 must divide dim=8"):
        nystromformer.Attention(uneven, nystromformer.Config(landmarks=2))
