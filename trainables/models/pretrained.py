"""Pre-trained weights, from a local safetensors file or from the model hub, checked by hash."""

import hashlib
import re
from pathlib import Path

import torch

HUB, RANDOM = "hub", "random"
FILE = "model.safetensors"
_REACH_SECONDS = 3
_SHA256 = re.compile("[0-9a-f]{64}")
# the names of ViT in transformers, as timm calls the same tensors
_RENAMED = {
    r"^vit\.embeddings\.cls_token": "cls_token",
    r"^vit\.embeddings\.position_embeddings": "pos_embed",
    r"^vit\.embeddings\.patch_embeddings\.projection": "patch_embed.proj",
    r"^vit\.encoder\.layer\.": "blocks.",
    r"^vit\.layernorm": "norm",
    r"^classifier": "head",
    r"attention\.output\.dense": "attn.proj",
    r"attention\.attention\.": "attn.",
    r"intermediate\.dense": "mlp.fc1",
    r"(?<=\d\.)output\.dense": "mlp.fc2",
    r"layernorm_before": "norm1",
    r"layernorm_after": "norm2",
}


def mistakes(weights: str, sha256: str, repository: str) -> list[str]:
    """Why `weights` cannot be had, without fetching them; an empty list if they can."""
    wrong = []
    if sha256 and not _SHA256.fullmatch(sha256):
        wrong.append(f"sha256 must be 64 digits 0-9a-f, given {sha256!r}")
    if weights == HUB:
        wrong += _hub_mistakes(repository)
    elif weights != RANDOM:
        wrong += _file_mistakes(Path(weights))
    return wrong


def _file_mistakes(path: Path) -> list[str]:
    if path.suffix != ".safetensors":
        allowed = f"{HUB!r}, {RANDOM!r} or the path of a .safetensors file"
        return [f"weights must be {allowed}, given {str(path)!r}"]
    return [] if path.is_file() else [f"weights: there is no file {path}"]


def _hub_mistakes(repository: str) -> list[str]:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache

    if isinstance(try_to_load_from_cache(repository, FILE), str):
        return []
    try:
        get_hf_file_metadata(hf_hub_url(repository, FILE), timeout=_REACH_SECONDS)
    except Exception as error:  # noqa: BLE001 - the hub's client raises those of its transport too
        return [_unreachable(repository, error)]
    return []


def _unreachable(repository: str, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"the weights of {repository} are not in the cache and the model hub cannot be reached "
        f"({reason}). Fetch its {FILE} where there is a network and give it: "
        f"--set weights=/path/to/{FILE} (weights={RANDOM} trains from scratch)"
    )


def load(weights: str, sha256: str, repository: str) -> dict[str, torch.Tensor]:
    """The tensors of `weights` by the names that timm uses.

    `sha256` is that of a local file, or empty; what the hub delivers is compared with the hash
    under which it is stored. Raises ValueError if they cannot be had, read, or are others.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = _fetched(repository) if weights == HUB else Path(weights)
    if wrong := [] if weights == HUB else _file_mistakes(path):
        raise ValueError("; ".join(wrong))
    stored_as = path.resolve().name
    expected = sha256 or (stored_as if weights == HUB and _SHA256.fullmatch(stored_as) else "")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest() if expected else ""
    if found != expected:
        raise ValueError(f"weights: {path} has the sha256 {found}, expected {expected}")
    try:
        return _as_timm(load_file(path))
    except SafetensorError as error:
        raise ValueError(f"weights: {path} is no sound safetensors file ({error})") from error


def _fetched(repository: str) -> Path:
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, FILE, etag_timeout=_REACH_SECONDS))
    except Exception as error:
        raise ValueError(_unreachable(repository, error)) from error


def _as_timm(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        for theirs, ours in _RENAMED.items():
            name = re.sub(theirs, ours, name)
        renamed[name] = tensor
    for query in [name for name in renamed if ".attn.query." in name]:
        parts = [renamed.pop(query.replace("query", part)) for part in ("query", "key", "value")]
        renamed[query.replace("query", "qkv")] = torch.cat(parts)
    return renamed
