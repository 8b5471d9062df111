"""Every model by its file name: the shell `vit`, and each mixer of `attention/` put into it.

`build` takes a flat configuration as a space draws it: the model's keys are used, the recipe's are
left to the trial, any other key is refused.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch

from spaces.published import GalaxyRun, galaxy_runs
from spaces.space import nearest
from trainables import fields
from trainables.models import attention, vit
from trainables.recipe import Recipe

BASELINE = {"vit": "softmax"}  # the shell itself, by its usual name


def names() -> list[str]:
    """The models that `build` knows: the files of `attention/`, softmax under the name `vit`."""
    mixers = {m.name for m in pkgutil.iter_modules(attention.__path__)}
    return sorted(mixers - set(BASELINE.values()) | set(BASELINE))


def _mixer(name: str) -> ModuleType:
    known = names()
    if name not in known:
        raise ValueError(
            f"unknown model {name!r}{nearest(name, known)} (models: {', '.join(known)})"
        )
    return importlib.import_module(f"{attention.__name__}.{BASELINE.get(name, name)}")


def kinds(name: str) -> tuple[type, ...]:
    """The dataclasses whose fields are model `name`'s hyperparameters."""
    return vit.Config, _mixer(name).Config


def keys(name: str) -> list[str]:
    """The names of model `name`'s hyperparameters."""
    return [key for kind in kinds(name) for key in fields.names(kind)]


def _configs(name: str, params: Mapping[str, Any], image_size: int) -> tuple[vit.Config, Any]:
    given = {key: value for key, value in params.items() if key not in fields.names(Recipe)}
    wrong = fields.mistakes(kinds(name), given, f"model {name!r}")
    if not wrong:
        shell, own = (kind(**fields.pick(kind, given)) for kind in kinds(name))
        wrong = shell.mistakes(image_size)
        if not wrong:
            return shell, own
    raise ValueError("; ".join(wrong))


def build(
    name: str,
    params: Mapping[str, Any],
    *,
    image_size: int,
    num_classes: int,
    in_chans: int = 3,
) -> torch.nn.Module:
    """Model `name` from (B, in_chans, image_size, image_size) to logits (B, num_classes).

    Raises ValueError with all mistakes of `params` at once: unknown or missing keys, wrong types,
    sizes that do not fit the image.
    """
    shell, own = _configs(name, params, image_size)
    mixer = _mixer(name).Attention
    return vit.VisionTransformer(
        shell,
        lambda geometry: mixer(geometry, own),
        image_size=image_size,
        num_classes=num_classes,
        in_chans=in_chans,
    )


def _of_galaxy(run: GalaxyRun) -> dict[str, Any]:
    cells = run.corrected
    columns = ("depth", "dim", "mlp_dim", "k_dim")
    params: dict[str, Any] = {name: int(cells[name]) for name in columns if cells[name]}
    params |= {"patch": int(cells["patch_size"]), "heads": int(cells["num_heads"])}
    params |= {k: float(cells[k]) for k in ("dropout", "emb_dropout") if cells[k]}
    if run.model == "vit":
        return params | {"dim_head": 64}
    params |= {"shared_kv": cells["shared_kv"] == "True"}
    tokens = (224 // params["patch"]) ** 2 + 1
    return params | ({"faithful": True} if params["k_dim"] > tokens else {})


def published(name: str) -> dict[str, Mapping[str, Any]]:
    """The papers' rows of model `name` as `params` for `build` at 224 px.

    The key is the `run_id` of `galaxy_runs.csv` (`"010522B"`), or the model as Table 6 of the
    supplement prints it (`"Linformer-S/16"`).
    """
    module = vit if name in BASELINE else _mixer(name)
    rows = {run.run_id: _of_galaxy(run) for run in galaxy_runs() if run.model == name}
    return {**rows, **getattr(module, "PUBLISHED", {})}
