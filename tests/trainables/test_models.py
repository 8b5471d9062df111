"""What every model must do. Models are found by themselves: a new file needs no new test."""

import copy
import random
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

import spaces
from trainables import models

pytestmark = pytest.mark.usefixtures("one_thread")
IMAGE_SIZE, CLASSES = 56, 5
IMAGE_SIZES = (56, 112, 224)
DRAWS = 200

every_model = pytest.mark.parametrize("name", models.names())


def drawn(name: str, image_sizes: tuple[int, ...], wanted: int) -> list[dict[str, Any]]:
    """`wanted` configurations of the model's space that keep its rules at each image size."""
    space, rng = spaces.load(name), random.Random(0)
    kept: list[dict[str, Any]] = []
    for _ in range(100 * wanted):
        params = space.draw(rng)
        if not any(space.broken(params, size) for size in image_sizes):
            kept.append(params)
        if len(kept) == wanted:
            return kept
    raise AssertionError(f"the space of {name} yields only {len(kept)} at {image_sizes} px")


def build(name: str, params: dict[str, Any], image_size: int = IMAGE_SIZE) -> nn.Module:
    return models.build(name, params, image_size=image_size, num_classes=CLASSES)


@cache
def small(name: str) -> dict[str, Any]:
    """Of some draws the one that computes least."""

    def cost(params: dict[str, Any]) -> int:
        with torch.device("meta"):
            size = sum(p.numel() for p in build(name, params).parameters())
        tokens = spaces.load(name).quantities(params, IMAGE_SIZE).get("tokens", 1)
        return size * int(tokens)

    return min(drawn(name, (IMAGE_SIZE,), 30), key=cost)


@pytest.fixture
def model(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build(name, small(name)).eval()


def images(batch: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, IMAGE_SIZE, IMAGE_SIZE, generator=generator).to(dtype)


def test_the_models_of_the_first_sweep_are_found():
    assert {"vit", "linformer"} <= set(models.names())


@every_model
def test_a_space_searches_the_model(name):
    assert spaces.load(name).model == name
    known = set(models.keys(name))
    assert known.isdisjoint({"lr", "batch_size"})
    assert known >= spaces.load(name).fixed.keys() - {"class_weights"}


@every_model
@pytest.mark.parametrize("batch", [1, 3])
def test_output_shape(model, batch):
    logits = model(images(batch))
    assert logits.shape == (batch, CLASSES)
    assert logits.isfinite().all()


@every_model
def test_other_numbers_of_channels_and_classes(name):
    model = models.build(name, small(name), image_size=IMAGE_SIZE, num_classes=2, in_chans=1)
    assert model(images(3)[:, :1]).shape == (3, 2)


@every_model
def test_samples_of_a_batch_do_not_know_each_other(model):
    model, batch = model.double(), images(4, torch.float64)
    together = model(batch)
    for index in range(4):
        torch.testing.assert_close(model(batch[index : index + 1])[0], together[index])
    changed = batch.clone()
    changed[2] = 7.0
    others = [0, 1, 3]
    torch.testing.assert_close(model(changed)[others], together[others])
    assert not torch.allclose(model(changed)[2], together[2])


@every_model
def test_every_patch_of_the_image_is_seen(model):
    batch = images(1).requires_grad_()
    model(batch).square().sum().backward()
    assert batch.grad is not None
    assert (batch.grad.abs().sum(dim=(0, 1)) > 0).float().mean() > 0.99


@every_model
def test_gradients_reach_every_parameter(model):
    nn.functional.cross_entropy(model(images(3)), torch.tensor([0, 1, 2])).backward()
    wrong = [
        name
        for name, parameter in model.named_parameters()
        if (grad := parameter.grad) is None or not grad.any() or not grad.isfinite().all()
    ]
    assert wrong == []


@every_model
def test_evaluation_repeats(model):
    with torch.inference_mode():
        torch.testing.assert_close(model(images(3)), model(images(3)), rtol=0, atol=0)


@every_model
def test_training_reads_nothing_but_its_seed(model):
    model.train()
    outputs = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        outputs.append(model(images(2)))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=0)
    assert not torch.equal(outputs[0], outputs[2])  # the spaces train with dropout


@every_model
def test_bfloat16(model):
    with torch.inference_mode():
        expected = model(images(3))
        logits = model.bfloat16()(images(3, torch.bfloat16))
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), expected, rtol=0.1, atol=0.1)


@every_model
def test_state_dict_round_trip(name, model):
    torch.manual_seed(1)
    other = build(name, small(name)).eval()
    assert not torch.equal(other(images(2)), model(images(2)))
    assert other.load_state_dict(copy.deepcopy(model.state_dict())) == ([], [])
    torch.testing.assert_close(other(images(2)), model(images(2)), rtol=0, atol=0)


@every_model
def test_seed_decides_the_weights(name, model):
    torch.manual_seed(0)
    again = build(name, small(name))
    torch.testing.assert_close(again.state_dict(), model.state_dict(), rtol=0, atol=0)


@every_model
@pytest.mark.parametrize("shape", [(2, 3, 48, 56), (2, 3, 112, 112)])
def test_wrong_image_size_is_refused(model, shape):
    with pytest.raises(ValueError, match=rf"built for 56 px, given \({shape[2]}, {shape[3]}\) px"):
        model(torch.zeros(shape))


@every_model
def test_all_wrong_keys_are_told_at_once(name):
    params = small(name) | {"dpeth": 3, "dim": "wide", "dropout": True}
    del params["heads"]
    with pytest.raises(ValueError, match="has no 'dpeth'; did you mean 'depth'") as caught:
        build(name, params)
    message = str(caught.value)
    assert f"model {name!r} needs heads" in message
    assert "dim must be int, given 'wide'" in message
    assert "dropout must be float, given True" in message


@every_model
def test_all_wrong_sizes_are_told_at_once(name):
    params = small(name) | {"grid": 5, "depth": 0, "heads": -1, "dropout": 1.0}
    with pytest.raises(ValueError, match=r"grid=5 must divide the image's 56 px .*7, 8, 14") as e:
        build(name, params)
    for part in ("depth must ", "heads must ", "given -1", "dropout must lie in"):
        assert part in str(e.value)


@every_model
def test_grid_and_patch_say_the_same(name):
    params = small(name)
    by_patch = {k: v for k, v in params.items() if k != "grid"}
    by_patch["patch"] = IMAGE_SIZE // params["grid"]
    torch.manual_seed(0)
    one = build(name, params)
    torch.manual_seed(0)
    two = build(name, by_patch)
    torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=0, atol=0)
    for wrong in (params | by_patch, {k: v for k, v in by_patch.items() if k != "patch"}):
        with pytest.raises(ValueError, match=r"exactly one of grid .* and patch"):
            build(name, wrong)


@every_model
def test_the_recipe_is_left_to_the_trial(name):
    params = small(name) | {"lr": 1.0, "batch_size": 3, "class_weights": "inverse"}
    assert build(name, params).state_dict().keys() == build(name, small(name)).state_dict().keys()


@every_model
def test_frozen_but_for_the_head(name):
    model = build(name, small(name) | {"fine_tune": False})
    trained = [key for key, p in model.named_parameters() if p.requires_grad]
    assert trained == ["head.weight", "head.bias"]


@every_model
def test_every_configuration_of_the_space_is_built_at_every_size(name):
    for params in drawn(name, IMAGE_SIZES, DRAWS):
        for image_size in IMAGE_SIZES:
            with torch.device("meta"):
                build(name, params, image_size)


def test_an_unknown_model_is_told_the_nearest():
    with pytest.raises(ValueError, match=r"'linfromer'; did you mean 'linformer'\? .*vit"):
        build("linfromer", {})
    with pytest.raises(ValueError, match="unknown model 'softmax'"):  # goes by the name of vit
        build("softmax", {})


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("linformer", {"heads": 3}, "heads=3 must divide dim=64"),
        ("linformer", {"k_dim": 0}, "k_dim=0 must lie between 1 and the 50 tokens"),
        ("linformer", {"k_dim": 51}, "k_dim=51 must lie .* 50 tokens .*faithful=True allows more"),
        ("linformer", {"k_dim": 0, "faithful": True}, "k_dim=0 must lie between"),
        ("vit", {"heads": 3}, "heads=3 must divide dim=64 where no dim_head is given"),
        ("vit", {"dim_head": 0}, "dim_head must be at least 1, given 0"),
        ("vit", {"dim_head": -8}, "dim_head must be at least 1, given -8"),
        ("vit", {"mlp_dim": 0}, r"mlp_dim must .*given 0"),
        ("vit", {"emb_dropout": -0.1}, r"emb_dropout must lie in \[0, 1\), given -0.1"),
    ],
)
def test_sizes_that_cannot_be_built(name, change, message):
    with pytest.raises(ValueError, match=message):
        build(name, {"depth": 1, "dim": 64, "heads": 2, "grid": 7} | change)


def test_a_faithful_linformer_may_lengthen():
    params = {"depth": 1, "dim": 64, "heads": 2, "grid": 7, "k_dim": 60, "faithful": True}
    assert build("linformer", params)(images(1)).shape == (1, CLASSES)
