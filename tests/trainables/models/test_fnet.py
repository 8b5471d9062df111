"""FNet is a product with two explicit Fourier matrices."""

import math
from typing import Any

import pytest
import torch
from torch.nn.functional import conv2d, gelu, layer_norm

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.models.attention import fnet
from trainables.models.geometry import Geometry

GEOMETRY = Geometry(width=12, heads=1, grid=(2, 3))
N, D = GEOMETRY.tokens, GEOMETRY.width
SCALES = {"forward": N * D, "ortho": math.sqrt(N * D), "backward": 1}


def attention(**config) -> fnet.Attention:
    return fnet.Attention(GEOMETRY, fnet.Config(**config))


def tokens() -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(2, N, D, dtype=torch.float64, requires_grad=True)


def fourier(points: int) -> torch.Tensor:
    index = torch.arange(points, dtype=torch.float64)
    angle = torch.outer(index, index) * (-2 * math.pi / points)
    return torch.complex(angle.cos(), angle.sin())


@pytest.mark.parametrize("norm", SCALES)
def test_equals_the_matrices(norm):
    x = tokens()
    by_matrices = (fourier(N) @ x.to(torch.complex128) @ fourier(D)).real / SCALES[norm]
    mixed = attention(fft_norm=norm)(x)
    assert_exact(mixed, by_matrices)
    weights = torch.randn_like(x)
    ours, theirs = (torch.autograd.grad((y * weights).sum(), x) for y in (mixed, by_matrices))
    assert_exact(ours, theirs)


def network(state: dict[str, torch.Tensor], images: torch.Tensor, *, pooled_first: bool):
    """The whole network of two blocks by its equations, from the weights alone."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        return layer_norm(x, (D,), weight, bias, eps=1e-6)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    x = conv2d(images, state["embed.weight"], state["embed.bias"], stride=4)
    x = x.flatten(2).transpose(1, 2) + state["position"]
    x = torch.cat((state["class_token"].expand(len(x), -1, -1), x), dim=1)
    for block in ("blocks.0", "blocks.1"):
        normed = norm(x, f"{block}.mix.0").to(torch.complex128)
        mixed = (fourier(x.shape[1]) @ normed @ fourier(D)).real / (x.shape[1] * D)
        x = x + state[f"{block}.mix.3.gamma"] * mixed
        hidden = gelu(linear(norm(x, f"{block}.feed.0"), f"{block}.feed.1.0"))
        x = x + state[f"{block}.feed.3.gamma"] * linear(hidden, f"{block}.feed.1.3")
    x = x[:, 1:]  # the class token is mixed with, but not read
    read = norm(x.mean(dim=1), "norm") if pooled_first else norm(x, "norm").mean(dim=1)
    return linear(read, "head")


@pytest.mark.parametrize("faithful", [False, True])
def test_norms_residuals_and_head_stand_where_they_should(faithful):
    published = models.published("fnet")["FNet-S/16"]
    assert published["faithful"]
    own = {"depth": 2, "dim": D, "patch": 4, "layer_scale": 0.7, "faithful": faithful}
    torch.manual_seed(0)
    model = models.build("fnet", {**published, **own}, image_size=8, num_classes=3).double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter)
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    state: dict[str, Any] = dict(model.named_parameters())
    ours, theirs = model(images), network(state, images, pooled_first=faithful)
    assert_exact(ours, theirs)
    weights = torch.randn_like(ours)
    gradients = [
        torch.autograd.grad((y * weights).sum(), [*state.values()]) for y in (ours, theirs)
    ]
    assert_exact(*gradients)


def test_the_published_norm_is_the_default():
    assert_exact(attention()(tokens()), attention(fft_norm="forward")(tokens()))
    # all energy of a constant stays where frequencies are 0, and of that size
    constant = attention()(torch.ones(1, N, D, dtype=torch.float64))
    assert_exact(constant[0, 0, 0].item(), 1.0)
    assert_exact(constant.abs().sum().item(), 1.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_large_inputs_in_half_precision(dtype):
    x = torch.full((1, N, D), 6e4, dtype=dtype)
    with torch.autocast("cpu", dtype=dtype):
        mixed = attention()(x)
    assert mixed.dtype == dtype
    assert mixed.isfinite().all()
    torch.testing.assert_close(mixed[0, 0, 0], x[0, 0, 0])


def test_an_unknown_norm_is_refused():
    with pytest.raises(ValueError, match=r"fft_norm must be one of forward, ortho, .*'none'"):
        attention(fft_norm="none")
