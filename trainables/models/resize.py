"""A trained model for images of another size, by one contract for every model.

`model.rebuilt(image_size)` is a fresh model of the same configuration and patch. The state is then
copied; a module with parameters or buffers that are bound to the number of tokens says what they
become in `resampled(source)`, which is given its twin in the old model and returns them by name.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.functional import interpolate

from trainables.models.geometry import Geometry
from trainables.models.precision import widened


def over_grid(
    values: torch.Tensor, old: Geometry, new: Geometry, mode: str = "bicubic"
) -> torch.Tensor:
    """(..., N, D) with its patch entries interpolated from the old grid to the new one.

    The entries of the class tokens, which come first, are kept.
    """
    kept, patches = values[..., : old.prefix, :], values[..., old.prefix :, :]
    lead, width = patches.shape[:-2], patches.shape[-1]
    maps = widened(patches).reshape(-1, *old.grid, width).permute(0, 3, 1, 2)
    maps = interpolate(maps, size=new.grid, mode=mode, antialias=mode == "bicubic")
    resampled = maps.permute(0, 2, 3, 1).reshape(*lead, -1, width).to(values.dtype)
    return torch.cat((kept, resampled), dim=-2)


def over_length(values: torch.Tensor, length: int) -> torch.Tensor:
    """(..., L, D) linearly interpolated along L to `length`."""
    lead, width = values.shape[:-2], values.shape[-1]
    rows = widened(values).reshape(-1, values.shape[-2], width).transpose(1, 2)
    rows = interpolate(rows, size=length, mode="linear")
    return rows.transpose(1, 2).reshape(*lead, length, width).to(values.dtype)


@torch.no_grad()
def resize(model: Any, image_size: int) -> nn.Module:
    """A copy of `model` for images of `image_size` px, on the same device and in the same mode.

    Raises ValueError if the architecture has no such size, or no rule for what is bound to it.
    """
    reference = next(model.parameters())
    target = model.rebuilt(image_size).to(reference.device, reference.dtype)
    sources, state = dict(model.named_modules()), model.state_dict()
    for path, module in target.named_modules():
        if hasattr(module, "resampled"):
            prefix = f"{path}." if path else ""
            for name, value in module.resampled(sources[path]).items():
                state[prefix + name] = value
    fresh = target.state_dict()
    if stuck := [name for name, value in state.items() if value.shape != fresh[name].shape]:
        raise ValueError(f"no rule how these follow to {image_size} px: {', '.join(stuck)}")
    target.load_state_dict(state)
    return target.train(model.training)
