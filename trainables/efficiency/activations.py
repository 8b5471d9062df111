"""How much memory a forward pass makes, counted from its operators: nothing is measured."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


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
        given = {_place(leaf) for leaf in tree_leaves((args, named)) if torch.is_tensor(leaf)}
        for leaf in tree_leaves(made):
            if torch.is_tensor(leaf) and _place(leaf) not in given:
                self.bytes += leaf.untyped_storage().nbytes()
        return made


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
