"""How much memory a forward pass makes, counted from its operators: nothing is measured."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class _Made(TorchDispatchMode):
    """Adds up the bytes of what operators make; a view of what is there is nothing new."""

    def __init__(self):
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        made = func(*args, **named)
        given = {_place(tensor) for tensor in _tensors((*args, *named.values()))}
        for tensor in _tensors(made):
            if _place(tensor) not in given:
                self.bytes += tensor.untyped_storage().nbytes()
        return made


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    """Those in what an operator takes or makes."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _tensors(part)


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def activation_bytes(model: torch.nn.Module, image_size: int) -> int:
    """Bytes that the operators of one image's forward pass make, in evaluation mode, on the CPU.

    Training keeps most of them until the backward pass, which makes about as much again of a few.
    """
    mode = model.training
    try:
        with torch.no_grad(), _Made() as made:
            model.eval()(torch.zeros(1, 3, image_size, image_size))
    finally:
        model.train(mode)
    return made.bytes
