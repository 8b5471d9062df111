"""Pre-trained weights come from a file or the hub, are the ones expected, or it is said why not."""

import hashlib
from pathlib import Path

import huggingface_hub
import pytest
import torch
from safetensors.torch import save_file

from trainables import models
from trainables.models import pretrained
from trainables.models.whole import vit_base

SIZES = {"embed_dim": 8, "depth": 2, "num_heads": 2, "patch_size": 16, "num_classes": 5}


def tiny(image_size: int = 32, seed: int = 0):
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(seed)
    return VisionTransformer(img_size=image_size, **SIZES)


def as_transformers(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """timm's names and fused projections as transformers has them."""
    found = {}
    for name, tensor in tensors.items():
        name = name.replace("cls_token", "vit.embeddings.cls_token")
        name = name.replace("pos_embed", "vit.embeddings.position_embeddings")
        name = name.replace("patch_embed.proj", "vit.embeddings.patch_embeddings.projection")
        name = name.replace("blocks.", "vit.encoder.layer.").replace("head.", "classifier.")
        name = name.replace("norm1", "layernorm_before").replace("norm2", "layernorm_after")
        name = name.replace("mlp.fc1", "intermediate.dense").replace("mlp.fc2", "output.dense")
        name = name.replace("attn.proj", "attention.output.dense")
        if name.startswith("norm."):
            name = f"vit.layer{name}"
        if "attn.qkv" in name:
            for part, chunk in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                own = name.replace("attn.qkv", f"attention.attention.{part}")
                found[own] = chunk.contiguous()
        else:
            found[name] = tensor
    return found


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "model.safetensors"
    save_file(tiny().state_dict(), path)
    return path


@pytest.mark.parametrize("rename", [dict, as_transformers])
def test_names_of_timm_and_of_transformers(tmp_path, rename):
    source, target = tiny(seed=0), tiny(seed=1)
    save_file(rename(source.state_dict()), tmp_path / "w.safetensors")
    vit_base._fill(target, pretrained.load(str(tmp_path / "w.safetensors"), "", ""))
    images = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(target.forward_features(images), source.forward_features(images))
    assert not torch.equal(target.head.weight, source.head.weight)  # the head is always new


def test_positions_follow_another_image_size(file):
    target = tiny(image_size=48)
    vit_base._fill(target, pretrained.load(str(file), "", ""))
    assert target.pos_embed.shape == (1, 10, 8)
    torch.testing.assert_close(target.pos_embed[:, 0], tiny().pos_embed[:, 0])


def test_weights_of_another_model_are_refused(file):
    tensors = pretrained.load(str(file), "", "")
    with pytest.raises(ValueError, match=r"not ViT-Base's: they differ in blocks\.1.* and 9 more"):
        vit_base._fill(tiny(), {k: v for k, v in tensors.items() if "blocks.1" not in k})
    with pytest.raises(ValueError, match="differ in extra"):
        vit_base._fill(tiny(), {**tensors, "extra": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"differ in norm\.weight"):
        vit_base._fill(tiny(), {**tensors, "norm.weight": torch.zeros(4)})


def test_the_hash_of_a_file(file):
    right = hashlib.sha256(file.read_bytes()).hexdigest()
    assert pretrained.load(str(file), right, "").keys() == tiny().state_dict().keys()
    with pytest.raises(ValueError, match=f"has the sha256 {right}, expected {'0' * 64}"):
        pretrained.load(str(file), "0" * 64, "")


def test_a_damaged_file(file):
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match="no sound safetensors file"):
        pretrained.load(str(file), "", "")


@pytest.mark.parametrize(
    ("weights", "sha256", "message"),
    [
        ("weights.bin", "", r"must be 'hub', 'random' or the path of a \.safetensors file, given"),
        ("/nowhere/a.safetensors", "", "there is no file /nowhere/a.safetensors"),
        ("random", "abc", "sha256 must be 64 digits 0-9a-f, given 'abc'"),
    ],
)
def test_mistakes(weights, sha256, message):
    params = {"weights": weights, "sha256": sha256}
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        models.build("vit_base", params, image_size=224, num_classes=8)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """An empty cache of the hub's client, which has no network."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return tmp_path


@pytest.mark.usefixtures("hub")
def test_without_a_network_it_is_said_how_to_give_the_file():
    with pytest.raises(ValueError, match=r"--set weights=/path/to/model\.safetensors") as caught:
        models.build("vit_base", {"weights": "hub"}, image_size=224, num_classes=8)
    assert vit_base.REPOSITORY in str(caught.value)
    with pytest.raises(ValueError, match="cannot be reached"):
        pretrained.load("hub", "", vit_base.REPOSITORY)


def cached(hub: Path, content: Path, named: str) -> None:
    """Lay a file into the cache as the hub's client does: a blob by its hash, and a link."""
    repository = hub / ("models--" + vit_base.REPOSITORY.replace("/", "--"))
    snapshot, blobs = repository / "snapshots" / "abc", repository / "blobs"
    for folder in (snapshot, blobs, repository / "refs"):
        folder.mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (blobs / named).write_bytes(content.read_bytes())
    (snapshot / pretrained.FILE).symlink_to(blobs / named)


def test_what_the_hub_delivered_is_compared_with_its_hash(hub, tmp_path_factory):
    file = tmp_path_factory.mktemp("w") / "model.safetensors"
    save_file(tiny().state_dict(), file)
    cached(hub, file, hashlib.sha256(file.read_bytes()).hexdigest())
    assert pretrained.mistakes("hub", "", vit_base.REPOSITORY) == []
    assert pretrained.load("hub", "", vit_base.REPOSITORY).keys() == tiny().state_dict().keys()


def test_a_blob_that_is_not_what_its_name_says(hub, tmp_path_factory):
    file = tmp_path_factory.mktemp("w") / "model.safetensors"
    save_file(tiny().state_dict(), file)
    cached(hub, file, "f" * 64)
    with pytest.raises(ValueError, match=f"expected {'f' * 64}"):
        pretrained.load("hub", "", vit_base.REPOSITORY)


def test_frozen_but_for_the_head_as_the_first_seed_counts():
    with torch.device("meta"):
        model = models.build("vit_base", {"fine_tune": False}, image_size=224, num_classes=8)
    counts = [p.numel() for p in model.parameters()]
    assert sum(counts) == 85_804_808
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 6_152


def test_every_row_of_the_first_seed_is_there():
    rows = models.published("vit_base")
    assert len(rows) == 19
    assert {row["fine_tune"] for row in rows.values()} == {True, False}
