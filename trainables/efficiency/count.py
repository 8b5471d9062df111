"""Parameters and FLOPs of a model, from its structure: nothing is timed."""

import copy
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch

from trainables.efficiency.flop_rules import FREE, MULTIPLY_ADDS, RULES
from trainables.models.schedule import set_progress

if TYPE_CHECKING:
    from fvcore.nn import FlopCountAnalysis


@dataclass(frozen=True)
class Counts:
    """What a model costs on paper; the operations are those of one image's forward pass.

    Attributes:
        params: trainable parameters (those that require a gradient).
        params_total: all parameters, frozen ones included; buffers are not parameters.
        gflops: 1e9 operations in WTTF's convention (see `flop_rules`).
        gmacs: 1e9 multiply-adds of convolutions and matrix products alone.
        by_operator: operations by operator; their sum is `gflops` * 1e9. Fused attention appears
            as the operators that it fuses, in-place forms under their plain name.
        by_module: operations by qualified name of the module, descendants included; those of the
            whole model under the empty name.
        uncounted: operators that no rule covers, and how often they occur; `gflops` lacks them.
    """

    params: int
    params_total: int
    gflops: float
    gmacs: float
    by_operator: dict[str, float]
    by_module: dict[str, float]
    uncounted: dict[str, int]


def count(model: torch.nn.Module, image_size: int, in_chans: int = 3) -> Counts:
    """Count the parameters and the operations of one image (1, in_chans, image_size, image_size).

    fvcore traces the model in evaluation mode, and it is left as it was. It may be on any device; a
    model on `meta` is traced with zeros on the CPU.
    """
    traceable, image = _traceable(model, image_size, in_chans)
    analysis = _analysis(traceable, image)
    rules: dict[str, Any] = {f"aten::{name}": rule for name, rule in RULES.items()}
    analysis.set_op_handle(**rules)
    analysis.set_op_handle(**{f"aten::{name}": None for name in FREE})
    analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    analysis.tracer_warnings("none")
    with _undisturbed(image.device):
        traced, by_module = analysis.by_operator(), analysis.by_module()
    by_operator: Counter[str] = Counter()
    for name, operations in traced.items():
        by_operator[name.rstrip("_")] += operations
    macs = sum(operations for name, operations in by_operator.items() if name in MULTIPLY_ADDS)
    sizes = [(parameter.numel(), parameter.requires_grad) for parameter in model.parameters()]
    return Counts(
        params=sum(size for size, trainable in sizes if trainable),
        params_total=sum(size for size, _ in sizes),
        gflops=sum(by_operator.values()) / 1e9,
        gmacs=macs / 1e9,
        by_operator=dict(by_operator.most_common()),
        by_module=dict(by_module),
        uncounted=dict(analysis.unsupported_ops().most_common()),
    )


def _analysis(model: torch.nn.Module, image: torch.Tensor) -> "FlopCountAnalysis":
    """fvcore is imported here, so that a machine without it can still measure."""
    with warnings.catch_warnings():  # fvcore scripts a loss when imported, which torch deprecates
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)  # as PyTorch 2.11 says it
        from fvcore.nn import FlopCountAnalysis
    return FlopCountAnalysis(model, image)


def _traceable(
    model: torch.nn.Module, image_size: int, in_chans: int
) -> tuple[torch.nn.Module, torch.Tensor]:
    """A copy of the model in evaluation mode that shares its parameters, and one random image.

    A copy, so that the caller's model keeps the mode of every module, is not changed by a forward
    pass that writes buffers, and gets none of fvcore's hooks, which stay if a forward pass raises.
    """
    tensors = list(chain(model.parameters(), model.buffers()))
    device = tensors[0].device if tensors else torch.device("cpu")
    dtype = next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)
    if device.type == "meta":  # the tracer needs values, since it traces shapes as tensors
        device = torch.device("cpu")
        known = {id(tensor): torch.zeros_like(tensor, device=device) for tensor in tensors}
    else:
        known = {id(parameter): parameter for parameter in model.parameters()}
    generator = torch.Generator(device).manual_seed(0)
    shape = (1, in_chans, image_size, image_size)
    image = torch.rand(shape, generator=generator, device=device, dtype=dtype)
    traceable = copy.deepcopy(model, known).eval()
    if tensors and tensors[0].is_meta:
        set_progress(traceable, 1.0)  # training progress is not stored: counted as trained
    return traceable, image


@contextmanager
def _undisturbed(device: torch.device) -> Iterator[None]:
    """A block without gradients that keeps the random state and the plain operators of attention.

    `torch.nn.MultiheadAttention` has a path for evaluation that is one opaque operator.
    """
    fused_path = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused_path)
