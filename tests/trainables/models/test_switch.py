"""Switch is the MLP where there is one expert, and a loop over tokens elsewhere."""

import pytest
import torch
from torch import nn

from tests.trainables.models.exact import assert_exact
from trainables.models import auxiliary
from trainables.models.feedforward.switch import Config, FeedForward

D, F = 6, 10


def switch(experts: int, **config) -> FeedForward:
    torch.manual_seed(0)
    return FeedForward(D, F, 0.0, Config(experts=experts, **config)).double()


def tokens() -> torch.Tensor:
    return torch.randn(2, 7, D, dtype=torch.float64, requires_grad=True)


def by_loop(module: FeedForward, x: torch.Tensor) -> torch.Tensor:
    """Every token by itself through its expert."""
    rows = []
    for token in x.flatten(0, 1):
        p = module.router(token).softmax(dim=0)
        e = int(p.argmax())
        hidden = nn.functional.gelu(module.up[e] @ token + module.up_bias[e])
        rows.append(p[e] * (module.down[e] @ hidden + module.down_bias[e]))
    return torch.stack(rows).view(x.shape)


def test_one_expert_is_the_mlp():
    module, x = switch(1), tokens()
    mlp = nn.Sequential(nn.Linear(D, F), nn.GELU(), nn.Linear(F, D)).double()
    state = (module.up[0], module.up_bias[0], module.down[0], module.down_bias[0])
    mlp.load_state_dict(dict(zip(mlp.state_dict(), state, strict=True)))
    assert_exact(module(x), mlp(x))


def test_equals_the_equations_with_gradients():
    module, x = switch(4), tokens()
    chosen = module.router(x).argmax(dim=-1)
    assert len(chosen.unique()) > 1
    assert_exact(module(x), by_loop(module, x))
    sources, weights = [x, *module.parameters()], torch.randn_like(x)
    ours, theirs = (
        torch.autograd.grad((y * weights).sum(), sources) for y in (module(x), by_loop(module, x))
    )
    assert_exact(ours, theirs)


def test_faithful_is_not_scaled_but_has_the_gradient():
    module, x = switch(4), tokens()
    faithful = switch(4, faithful=True)
    p = module.router(x).softmax(dim=-1).amax(dim=-1, keepdim=True)
    assert_exact(faithful(x), module(x) / p)
    (gradient,) = torch.autograd.grad(faithful(x).sum(), faithful.router.weight)
    assert gradient.abs().max() > 0


def test_an_expert_without_a_token_has_a_gradient_of_zero():
    module, x = switch(3), tokens()
    with torch.no_grad():
        module.router.bias.copy_(torch.tensor([50.0, 0.0, -50.0]))
    module(x).sum().backward()
    assert module.up.grad is not None
    assert module.up.grad[0].any()
    assert not module.up.grad[2].any()


def test_the_balance_is_one_where_all_experts_get_the_same():
    module = switch(4, balance_weight=0.5)
    x = torch.zeros(1, 8, D, dtype=torch.float64)
    with torch.no_grad():
        module.router.weight.zero_()
        module.router.weight[:, :4] = 100 * torch.eye(4)
    for token in range(8):
        x[0, token, token % 4] = 1.0
    with auxiliary.collected() as losses:
        module(x)
    assert losses["expert_balance"].item() == pytest.approx(0.5)
    with auxiliary.collected() as losses:
        module(x[:, :1].expand(1, 8, D))  # all tokens to one expert
    assert losses["expert_balance"].item() == pytest.approx(0.5 * 4)


def test_nothing_is_collected_in_evaluation():
    with auxiliary.collected() as losses:
        switch(4).eval()(tokens())
    assert losses == {}


def test_the_router_keeps_full_precision_under_autocast():
    module, x = switch(4).float(), tokens().detach().float()
    with torch.no_grad():
        module.router.bias.copy_(torch.tensor([1.0, 1.0 + 1e-4, 0.0, 0.0]))
        module.router.weight.zero_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = module(x)
    expected = module(x)  # bf16 would see a tie and take the first expert
    torch.testing.assert_close(mixed.float(), expected, rtol=0.05, atol=0.02)
