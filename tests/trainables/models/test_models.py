"""What every model must do. Models are found by themselves: a new file needs no new test."""

import copy
import math
import random
import re
from collections.abc import Callable, Container, Iterable
from functools import cache, partial
from typing import Any

import pytest
import torch
from torch import nn

import spaces
from trainables import fields, models
from trainables.models import auxiliary, vit
from trainables.models.resize import resize
from trainables.models.schedule import set_progress
from trainables.recipe import TRAINING

pytestmark = pytest.mark.usefixtures("one_thread")
CLASSES = 5
SIZES = {"depth", "dim", "width", "heads", "grid", "groups", "serial_depth", "experts"}
# the class token's query goes past the convolution, and the last block has no other reader
UNREAD = {"cvt": r"blocks\.2\.\d+\.mix\.1\.q\.(local|norm)\."}
NO_FILES = {"vit_base": {"weights": "random"}}
IMAGE_SIZES = (56, 64, 112, 192, 224, 384)
FEW, MANY = 6, 48  # configurations of a space

SHELLS = [name for name in models.names() if vit.Config in models.kinds(name)]
SLOW = ("halonet", "nextvit", "vit_base")  # whose smallest configurations are large


@pytest.fixture(autouse=True)
def _fewer_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """ViT-Base has one size; what is asked here holds with two of its twelve blocks as well."""
    if "name" in request.fixturenames and request.getfixturevalue("name") == "vit_base":
        from timm.models import vision_transformer

        shorter = partial(vision_transformer.VisionTransformer, depth=2)
        monkeypatch.setattr(vision_transformer, "VisionTransformer", shorter)


def among(names: Iterable[str], slow: Container[str]) -> pytest.MarkDecorator:
    marked = [pytest.param(n, marks=pytest.mark.slow if n in slow else ()) for n in names]
    return pytest.mark.parametrize("name", marked)


every_model = among(models.names(), SLOW)
every_model_in_time = among(models.names(), slow=set(models.names()) - set(SHELLS))
every_shell = pytest.mark.parametrize("name", SHELLS)


@cache
def drawn(name: str, image_size: int, wanted: int) -> list[dict[str, Any]]:
    """`wanted` configurations of the model's space that keep its rules; none if none does."""
    space, rng = spaces.load(name), random.Random(image_size)
    kept: list[dict[str, Any]] = []
    for _ in range(100 * wanted):
        params = space.draw(rng)
        if not space.broken(params, image_size):
            kept.append(params)
        if len(kept) == wanted:
            break
    return kept


@cache
def supported(name: str) -> list[int]:
    return [size for size in IMAGE_SIZES if drawn(name, size, 1)]


def build(name: str, params: dict[str, Any], image_size: int | None = None) -> nn.Module:
    size = image_size or supported(name)[0]
    return models.build(name, params, image_size=size, num_classes=CLASSES)


@cache
def small(name: str) -> dict[str, Any]:
    """Of some draws the one that looks cheapest: the product of its sizes."""

    def cost(params: dict[str, Any]) -> float:
        return math.prod(params[key] for key in SIZES & params.keys())

    return min(drawn(name, supported(name)[0], 200), key=cost) | NO_FILES.get(name, {})


def seeded(name: str, **changes: Any) -> nn.Module:
    """The small model, without the zeros that some begin with: they hide what lies behind them."""
    torch.manual_seed(0)
    model = build(name, small(name) | changes).eval()
    for parameter in model.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    return model


@pytest.fixture
def model(name: str) -> nn.Module:
    return seeded(name)


@pytest.fixture
def images(name: str) -> Callable[..., torch.Tensor]:
    def make(batch: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        size = supported(name)[0]
        generator = torch.Generator().manual_seed(1)
        return torch.randn(batch, 3, size, size, generator=generator).to(dtype)

    return make


def assert_near(name: str, logits: torch.Tensor, expected: torch.Tensor) -> None:
    """What half precision leaves of logits near one."""
    assert logits.isfinite().all()
    # rounding moves a token into another cluster or bucket, and its output jumps
    near = 1.0 if name in ("routing", "reformer") else 0.1
    torch.testing.assert_close(logits.float(), expected, rtol=0.1, atol=near)


# of layer norms in networks after published code; all others have 1e-6
LARGER_EPS = {
    "cvt": r".",
    "dynamicvit": r"predictors\.",
    "efficientmod": r".",
    "informer": r".",
    "rest": r".",
    "wavevit": r"mix\.1\.kv\.0$|^stages\.\d\.norm$",
}
OF_TIMM = {"coat", "efficientvit", "focalnet", "swin", "swinv2"}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(models.names()) - OF_TIMM))
def test_layer_norms_have_the_epsilon_of_the_published_code(name):
    for params in models.wttf(name).values():
        with torch.device("meta"):
            model = models.build(name, params, image_size=224, num_classes=CLASSES)
        wrong = {
            path: module.eps
            for path, module in model.named_modules()
            if isinstance(module, nn.LayerNorm)
            and module.eps != (1e-5 if re.search(LARGER_EPS.get(name, "$^"), path) else 1e-6)
        }
        assert wrong == {}


def test_the_models_of_the_seeds_are_found():
    assert {"vit", "linformer", "switch", "resnet"} <= set(models.names())


@every_model
def test_a_space_searches_the_model(name):
    space = spaces.load(name)
    assert space.model == name
    known = set(models.keys(name))
    assert known.isdisjoint({"lr", "batch_size"})
    of_training = {key for kind in TRAINING for key in fields.names(kind)}
    assert known | of_training >= space.fixed.keys()
    for point in space.published:
        assert not space.outside({k: v for k, v in point.params.items() if k in space.params})


@every_model
@pytest.mark.parametrize("batch", [1, 3])
def test_output_shape(model, images, batch):
    logits = model(images(batch))
    assert logits.shape == (batch, CLASSES)
    assert logits.isfinite().all()


@every_model_in_time
def test_other_numbers_of_channels_and_classes(name, images):
    size = supported(name)[0]
    model = models.build(name, small(name), image_size=size, num_classes=2, in_chans=1)
    assert model(images(3)[:, :1]).shape == (3, 2)


@pytest.mark.slow
@every_model_in_time
def test_samples_of_a_batch_do_not_know_each_other(model, images):
    model, batch = model.double(), images(4, torch.float64)
    together = model(batch)
    for index in range(4):
        torch.testing.assert_close(model(batch[index : index + 1])[0], together[index])
    changed = batch.clone()
    changed[2] = 7.0
    others = [0, 1, 3]
    torch.testing.assert_close(model(changed)[others], together[others])
    assert not torch.allclose(model(changed)[2], together[2])


@every_model_in_time
def test_every_patch_of_the_image_is_seen(name, model, images):
    batch = images(1).requires_grad_()
    model(batch).square().sum().backward()
    assert batch.grad is not None
    seen = (batch.grad.abs().sum(dim=(0, 1)) > 0).float().mean()
    assert seen > (0.5 if name == "routing" else 0.99)  # what no cluster picks is not seen


@every_model_in_time
def test_gradients_reach_every_parameter(name, images):
    model = seeded(name, drop_path=0.0).train()
    set_progress(model, 0.01)  # where what is blended out later is there
    with auxiliary.collected() as losses:
        loss = nn.functional.cross_entropy(model(images(3)), torch.tensor([0, 1, 2]))
    sum(losses.values(), start=loss).backward()
    wrong = [
        path
        for path, parameter in model.named_parameters()
        if (grad := parameter.grad) is None or not grad.any() or not grad.isfinite().all()
    ]
    assert [path for path in wrong if not re.search(UNREAD.get(name, "$^"), path)] == []


@every_model_in_time
def test_evaluation_repeats(model, images):
    with torch.inference_mode():
        torch.testing.assert_close(model(images(3)), model(images(3)), rtol=0, atol=0)


@pytest.mark.slow
@every_model_in_time
def test_training_reads_nothing_but_its_seed(name, images):
    outputs = []
    for seed in (5, 5, 6):
        loud = {"layer_scale": 1.0} if "layer_scale" in models.keys(name) else {}
        model = seeded(name, drop_path=0.5, **loud).train()
        torch.manual_seed(seed)
        outputs.append(model(images(8)))
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=0)
    assert not torch.equal(outputs[0], outputs[2])  # drop path draws


@every_model_in_time
def test_bfloat16(name, model, images):
    with torch.inference_mode():
        expected = model(images(3))
        logits = model.bfloat16()(images(3, torch.bfloat16))
    assert logits.dtype == torch.bfloat16
    assert_near(name, logits, expected)


@every_model_in_time
def test_state_dict_round_trip(name, model, images):
    torch.manual_seed(1)
    other = build(name, small(name)).eval()
    assert not torch.equal(other(images(2)), model(images(2)))
    assert other.load_state_dict(copy.deepcopy(model.state_dict())) == ([], [])
    torch.testing.assert_close(other(images(2)), model(images(2)), rtol=0, atol=0)


@every_model_in_time
def test_seed_decides_the_weights(name, model):
    torch.testing.assert_close(seeded(name).state_dict(), model.state_dict(), rtol=0, atol=0)


@every_model
@pytest.mark.parametrize("change", [(-8, 0), (32, 32)])
def test_wrong_image_size_is_refused(name, model, change):
    size = supported(name)[0]
    given = tuple(size + pixels for pixels in change)
    expected = f"built for {size} px, given {given} px"
    with pytest.raises(ValueError, match=re.escape(expected)):
        model(torch.zeros(2, 3, *given))


@every_shell
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
def test_an_unknown_key_is_refused(name):
    with pytest.raises(ValueError, match=f"model {name!r} has no 'colour'"):
        build(name, small(name) | {"colour": 3})


@every_shell
def test_all_wrong_sizes_are_told_at_once(name):
    params = small(name) | {"grid": 5, "depth": 0, "heads": -1, "dropout": 1.0, "block": "round"}
    with pytest.raises(ValueError, match=r"grid=5 must divide the image's 56 px .*7, 8, 14") as e:
        build(name, params)
    for part in ("depth must ", "heads must ", "given -1", "dropout must lie in", "given 'round'"):
        assert part in str(e.value)


@every_shell
def test_grid_and_patch_say_the_same(name):
    params = small(name)
    by_patch = {k: v for k, v in params.items() if k != "grid"}
    by_patch["patch"] = supported(name)[0] // params["grid"]
    torch.manual_seed(0)
    one = build(name, params)
    torch.manual_seed(0)
    two = build(name, by_patch)
    torch.testing.assert_close(one.state_dict(), two.state_dict(), rtol=0, atol=0)
    for wrong in (params | by_patch, {k: v for k, v in by_patch.items() if k != "patch"}):
        with pytest.raises(ValueError, match=r"exactly one of grid .* and patch"):
            build(name, wrong)


@every_model_in_time
def test_the_recipe_is_left_to_the_trial(name):
    params = small(name) | {"lr": 1.0, "batch_size": 3, "class_weights": "inverse"}
    assert build(name, params).state_dict().keys() == build(name, small(name)).state_dict().keys()


@every_model
def test_frozen_but_for_the_head(name):
    model = build(name, small(name) | {"fine_tune": False})
    trained = [key for key, p in model.named_parameters() if p.requires_grad]
    assert 1 <= len(trained) <= 2
    assert all(len(p) == CLASSES for p in model.parameters() if p.requires_grad)


@every_model_in_time
def test_another_image_size_takes_the_weights_along(name, model, images):
    size = supported(name)[0]
    same = resize(model, size)
    torch.testing.assert_close(same(images(2)), model(images(2)), rtol=0, atol=0)
    larger = resize(model, 2 * size)
    assert not larger.training
    assert larger(torch.zeros(1, 3, 2 * size, 2 * size)).shape == (1, CLASSES)
    back = resize(larger, size)
    for key, value in model.state_dict().items():
        assert back.state_dict()[key].shape == value.shape, key
    frozen = build(name, small(name) | {"fine_tune": False})
    wants = {key: p.requires_grad for key, p in frozen.named_parameters()}
    assert {k: p.requires_grad for k, p in resize(frozen, size).named_parameters()} == wants


@pytest.mark.slow
@every_model_in_time
@pytest.mark.parametrize(
    "dtype", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.slow)]
)
def test_autocast(name, model, images, dtype):
    with torch.inference_mode():
        expected = model(images(4))
        with torch.autocast("cpu", dtype=dtype):
            logits = model(images(4))
    assert_near(name, logits, expected)
    with torch.autocast("cpu", dtype=dtype), auxiliary.collected() as losses:
        logits = model.train()(images(4))
        loss = nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3]))
    sum(losses.values(), start=loss).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def every_space() -> list[Any]:
    """Many configurations of each, and a few of those that are built in time."""
    many = [pytest.param(name, MANY, marks=pytest.mark.slow) for name in models.names()]
    return many + [pytest.param(name, FEW) for name in SHELLS]


@pytest.fixture
def _no_initial_values(monkeypatch):
    """What weights are drawn takes half of the time, and on the meta device there are none."""
    for layer in (nn.Linear, nn.Conv2d, nn.LayerNorm):
        monkeypatch.setattr(layer, "reset_parameters", lambda _: None)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "draws"), every_space())
@pytest.mark.usefixtures("_no_initial_values")
def test_every_configuration_of_the_space_is_built(name, draws):
    sizes, built = supported(name), set()
    assert sizes
    structure = set(models.keys(name)) - {"dropout", "drop_path", "layer_scale"}
    for size in sizes:
        configurations = drawn(name, size, -(-draws // len(sizes)))
        assert len(configurations) * len(sizes) >= draws
        for params in configurations:
            alike = (size, *(params.get(key) for key in sorted(structure)))
            if alike not in built:  # those that differ in rates alone are built once
                built.add(alike)
                with torch.device("meta"):
                    build(name, params | NO_FILES.get(name, {}), size)


@every_model
def test_sizes_that_a_space_leaves_out_are_refused_with_some_that_work(name):
    space = spaces.load(name)
    for size in set(IMAGE_SIZES) - set(supported(name)):
        params = space.draw(random.Random(0)) | NO_FILES.get(name, {})
        refusal = "allowed"  # a space may also leave out what can be built
        try:
            with torch.device("meta"):
                build(name, params, size)
        except ValueError as error:
            refusal = str(error)
        assert re.search("such as|allowed", refusal), refusal


def test_an_unknown_model_is_told_the_nearest():
    sizes = {"image_size": 56, "num_classes": 2}
    with pytest.raises(ValueError, match=r"'linfromer'; did you mean 'linformer'\? .*vit"):
        models.build("linfromer", {}, **sizes)
    with pytest.raises(ValueError, match="unknown model 'softmax'"):  # goes by the name of vit
        models.build("softmax", {}, **sizes)


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
        ("vit", {"drop_path": 1.0}, r"drop_path must lie in \[0, 1\), given 1.0"),
        ("vit", {"class_token": False}, r"without a class token .* pool must be 'mean'"),
        ("vit", {"class_depth": 1, "pool": "mean"}, "class attention .* needs pool='class'"),
        ("vit", {"class_depth": -1}, "class_depth must lie between 0 and 1000, given -1"),
        ("vit", {"pool": "max"}, "pool must be one of class, mean, mean_before_norm, given 'max'"),
        ("switch", {"experts": 0}, "experts must lie between 1 and 1024, given 0"),
        ("vit", {"emb_dropout": -0.1}, r"emb_dropout must lie in \[0, 1\), given -0.1"),
    ],
)
def test_sizes_that_cannot_be_built(name, change, message):
    with pytest.raises(ValueError, match=message):
        build(name, {"depth": 1, "dim": 64, "heads": 2, "grid": 7} | change)


def test_a_faithful_linformer_may_lengthen():
    params = {"depth": 1, "dim": 64, "heads": 2, "grid": 7, "k_dim": 60, "faithful": True}
    assert build("linformer", params)(torch.zeros(1, 3, 56, 56)).shape == (1, CLASSES)
