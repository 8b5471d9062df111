"""A model that is borrowed for measuring and given back as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch


@contextmanager
def borrowed(model: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """In this block the model is on `device` without gradients; afterwards it is as before."""
    home = next((tensor.device for tensor in model.parameters()), device)
    modes = {module: module.training for module in model.modules()}
    gradients = {parameter: parameter.grad for parameter in model.parameters()}
    values = [tensor.detach().to("cpu", copy=True) for tensor in _tensors(model)]
    model.zero_grad()
    model.to(device)
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        with torch.no_grad():
            for tensor, value in zip(_tensors(model), values, strict=True):
                tensor.copy_(value)
        model.to(home)
        for module, training in modes.items():
            module.training = training
        for parameter, gradient in gradients.items():
            parameter.grad = gradient


def _tensors(model: torch.nn.Module) -> Iterator[torch.Tensor]:
    return chain(model.parameters(), model.buffers())
