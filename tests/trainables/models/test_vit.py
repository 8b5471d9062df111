"""The shell with its options: class attention, pooling, orders of norms, drop path."""

import re

import pytest
import torch
from torch import nn
from torch.nn.functional import layer_norm

from tests.trainables.models.exact import assert_exact
from trainables import models
from trainables.models.block import DropPath
from trainables.models.class_attention import ClassAttention

TIMM_NAMES = {
    r"^embed": "patch_embed.proj",
    r"^position": "pos_embed",
    r"^class_token": "cls_token",
    r"mix\.0": "norm1",
    r"mix\.1\.qkv": "attn.qkv",
    r"mix\.1\.out": "attn.proj",
    r"mix\.3": "ls1",
    r"feed\.0": "norm2",
    r"feed\.1\.0": "mlp.fc1",
    r"feed\.1\.3": "mlp.fc2",
    r"feed\.3": "ls2",
}
SHELL = {"depth": 2, "dim": 8, "heads": 2, "grid": 2, "dropout": 0.0}


def build(**options) -> nn.Module:
    torch.manual_seed(0)
    return models.build("vit", SHELL | options, image_size=8, num_classes=3).double().eval()


def images() -> torch.Tensor:
    return torch.randn(2, 3, 8, 8, dtype=torch.float64)


def embedded(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return model.embed(x).flatten(2).transpose(1, 2)


def test_it_is_timms_vit_with_the_same_weights():
    from timm.models.vision_transformer import VisionTransformer

    model = build(qkv_bias=True, layer_scale=0.1, class_position=False, norm_eps=1e-6)
    theirs = VisionTransformer(
        img_size=8,
        patch_size=4,
        embed_dim=8,
        depth=2,
        num_heads=2,
        num_classes=3,
        init_values=0.1,
        no_embed_class=True,
    )
    renamed = {}
    for name, value in model.state_dict().items():
        for ours, their in TIMM_NAMES.items():
            name = re.sub(ours, their, name)
        renamed[name] = value
    theirs.load_state_dict(renamed)
    x = images()
    assert_exact(model(x), theirs.double().eval()(x))


def test_mean_pooling_leaves_the_class_token_out():
    model, x = build(pool="mean", depth=1), images()
    tokens = torch.cat((model.class_token.expand(2, 1, 8), embedded(model, x)), 1) + model.position
    mixed = model.blocks(tokens)
    assert_exact(model(x), model.head(model.norm(mixed)[:, 1:].mean(dim=1)))


def test_without_a_class_token():
    model, x = build(class_token=False, pool="mean"), images()
    assert model.geometry.tokens == 4
    assert not any("class_token" in name for name in model.state_dict())
    mixed = model.blocks(embedded(model, x) + model.position)
    assert_exact(model(x), model.head(model.norm(mixed).mean(dim=1)))


def test_post_norm_and_one_residual_by_hand():
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    (block,) = build(block="post_norm", depth=1).blocks
    mixed = layer_norm(x + block.mix[0](x), (8,))
    assert_exact(block(x), layer_norm(mixed + block.feed[0](mixed), (8,)))
    (block,) = build(block="one_residual", depth=1).blocks
    mixer, mlp = block.both[1], block.both[3]
    assert_exact(block(x), x + mlp(layer_norm(mixer(layer_norm(x, (8,))), (8,))))


def test_class_attention_asks_with_the_first_token_only():
    torch.manual_seed(0)
    module = ClassAttention(8, 2).double()
    x = torch.randn(3, 5, 8, dtype=torch.float64, requires_grad=True)
    keys, values = module.kv(x).chunk(2, dim=-1)
    heads = []
    for at in (slice(0, 4), slice(4, 8)):
        scores = module.q(x[:, :1])[..., at] @ keys[..., at].transpose(1, 2) / 2
        heads.append(scores.softmax(dim=-1) @ values[..., at])
    assert_exact(module(x), module.out(torch.cat(heads, dim=-1)))


def test_class_layers_read_the_patches_and_do_not_change_them():
    model, x = build(class_depth=2), images()
    assert model.geometry.prefix == 0
    patches = model.blocks(embedded(model, x) + model.position[:, 1:])
    class_token = (model.class_token + model.position[:, :1]).expand(2, 1, 8)
    for block in model.class_blocks:
        class_token = block(class_token, patches)
    assert_exact(model(x), model.head(model.norm(class_token[:, 0])))


def test_drop_path_leaves_whole_samples_out_and_keeps_the_mean():
    torch.manual_seed(0)
    dropped = DropPath(0.25).train()(torch.ones(40_000, 2))
    assert dropped.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (dropped[:, 0] == dropped[:, 1]).all()
    assert float(dropped.mean()) == pytest.approx(1, abs=0.02)
    assert DropPath(0.25).eval()(torch.ones(5)).eq(1).all()


def test_drop_path_rises_from_the_first_block_to_the_last():
    model = build(depth=3, drop_path=0.2)
    rates = [m.rate for m in model.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0, 0, 0.1, 0.1, 0.2, 0.2])
