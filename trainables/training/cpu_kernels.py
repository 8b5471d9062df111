"""Faster versions of two of PyTorch's functions, for training on the CPU.

PyTorch's dropout draws a random number per value; here four values share one. Its attention has a
slow backward pass in bf16; here it is computed in fp32, where that pass is fast.
"""

from typing import Any

import torch
from torch.nn.functional import dropout, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from trainables.models.precision import widened

_LEVELS = 2**16


class CpuKernels(TorchFunctionMode):
    """In this block, the faster versions are used for tensors on the CPU, in any module."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is dropout and args[0].device.type == "cpu":
            return _dropout(*args, **kwargs)
        if func is scaled_dot_product_attention and torch.is_autocast_enabled("cpu"):
            return _attention(*args, **kwargs)
        return func(*args, **kwargs)


def _dropout(
    values: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> torch.Tensor:
    """`torch.nn.functional.dropout`, with `p` rounded to a multiple of 2^-16."""
    level = round(p * _LEVELS)
    if not training or inplace or not 0 < level < _LEVELS:
        return dropout(values, p, training, inplace)
    return _Dropped.apply(values, level)


class _Dropped(torch.autograd.Function):
    """Values dropped with probability level / 2^16, the others scaled so that the mean stays."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, level: int) -> torch.Tensor:
        bits = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        drawn = bits.view(torch.int16)[: values.numel()].view(values.shape)
        dropped = drawn < level - _LEVELS // 2
        ctx.save_for_backward(dropped)
        ctx.scale = _LEVELS / (_LEVELS - level)
        return (values * ctx.scale).masked_fill_(dropped, 0)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        (dropped,) = ctx.saved_tensors
        return (gradients[0] * ctx.scale).masked_fill_(dropped, 0), None


def _attention(
    queries: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    *rest: Any,
    **named: Any,
) -> torch.Tensor:
    """Attention of (..., N, D) queries, keys and values in fp32, returned in the queries' type."""
    mask = widened(attn_mask) if attn_mask is not None else None
    with torch.autocast("cpu", enabled=False):
        wide = widened(queries), widened(keys), widened(values)
        attended = scaled_dot_product_attention(*wide, mask, *rest, **named)
    return attended.to(queries.dtype)
