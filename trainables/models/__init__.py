"""Every model by its file name: the shell `vit`, variants put into it, and whole models.

`attention/` holds token mixers, `feedforward/` feed-forward networks, `reduction/` trunks that
lead fewer and fewer tokens through the blocks, `whole/` models that are no plain shell. `build`
takes a flat configuration as a space draws it: the model's keys are used, those of the training are
left to the trial, any other key is refused.
"""

import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache, partial
from types import ModuleType
from typing import Any

import torch

from spaces.published import GalaxyRun, galaxy_runs
from spaces.space import nearest
from trainables import fields
from trainables.models import attention, feedforward, reduction, vit, whole
from trainables.models.attention import softmax
from trainables.recipe import TRAINING

_FOLDERS = (attention, feedforward, reduction, whole)
# which part of the shell a folder's files are, and what they call it
_PARTS = {
    attention: ("mixer", "Attention"),
    feedforward: ("feed", "FeedForward"),
    reduction: ("trunk", "Trunk"),
}
BASELINE = "vit"  # the shell with softmax attention, by its usual name


@cache
def _files(package: ModuleType) -> frozenset[str]:
    return frozenset(module.name for module in pkgutil.iter_modules(package.__path__))


def names() -> list[str]:
    """The models that `build` knows: the files of the four folders, softmax as `vit`."""
    found = frozenset[str]().union(*map(_files, _FOLDERS))
    return sorted(found - {"softmax"} | {BASELINE})


def _folder(name: str) -> ModuleType:
    """The folder of model `name`'s file."""
    if name == BASELINE:
        return attention
    known = names()
    if name not in known:
        raise ValueError(
            f"unknown model {name!r}{nearest(name, known)} (models: {', '.join(known)})"
        )
    return next(folder for folder in _FOLDERS if name in _files(folder))


def _module(name: str) -> ModuleType:
    """The file that holds what is special about model `name`."""
    folder = _folder(name)
    return softmax if name == BASELINE else importlib.import_module(f"{folder.__name__}.{name}")


def kinds(name: str) -> tuple[type, ...]:
    """The dataclasses whose fields are model `name`'s hyperparameters."""
    module, folder = _module(name), _folder(name)
    if folder is whole:
        return (module.Config,)
    if folder is attention:
        return vit.Config, module.Config
    return vit.Config, softmax.Config, module.Config


def keys(name: str) -> list[str]:
    """The names of model `name`'s hyperparameters."""
    return [key for kind in kinds(name) for key in fields.names(kind)]


def _configs(name: str, params: Mapping[str, Any], image_size: int) -> list[Any]:
    """The model's dataclasses filled with `params` over the defaults of its file."""
    of_training = {key for kind in TRAINING for key in fields.names(kind)}
    given = {key: value for key, value in params.items() if key not in of_training}
    shell = getattr(_module(name), "SHELL", {})
    if given.get("faithful"):
        shell = {**shell, **getattr(_module(name), "FAITHFUL_SHELL", {})}
    filled = {**shell, **given}
    wrong = fields.mistakes(kinds(name), given, f"model {name!r}")
    if not wrong:
        configs = [kind(**fields.pick(kind, filled)) for kind in kinds(name)]
        wrong = [
            mistake
            for config in configs
            if hasattr(config, "mistakes")
            for mistake in config.mistakes(image_size)
        ]
        if not wrong:
            return configs
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
    module, configs = _module(name), _configs(name, params, image_size)
    sizes: dict[str, Any] = {
        "image_size": image_size,
        "num_classes": num_classes,
        "in_chans": in_chans,
    }
    folder = _folder(name)
    if folder is whole:
        return module.Model(*configs, **sizes)
    shell, first, last = configs[0], configs[1], configs[-1]
    part, maker = _PARTS[folder]
    parts: dict[str, Any] = {"mixer": partial(softmax.Attention, config=first)}
    parts[part] = partial(getattr(module, maker), config=last)
    if hasattr(module, "Norm"):
        parts["norm"] = partial(module.Norm, config=last)
    if getattr(module, "WEIGHTS_DROPPED", False):
        parts["weights_dropped"] = True
    return vit.VisionTransformer(shell, **parts, **sizes)


def _of_galaxy(run: GalaxyRun) -> dict[str, Any]:
    cells = run.corrected
    if run.model == "vit_base":
        return {"fine_tune": cells["fine_tune"] == "yes"}
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
    WTTF prints it (`"Linformer-S/16"`), for rows cut off there as Table 3 does.
    """
    runs = {run.run_id: _of_galaxy(run) for run in galaxy_runs() if run.model == name}
    return {**runs, **wttf(name)}


def wttf(name: str) -> dict[str, Mapping[str, Any]]:
    """Those of `published` that are WTTF's."""
    return dict(getattr(vit if name == BASELINE else _module(name), "PUBLISHED", {}))
