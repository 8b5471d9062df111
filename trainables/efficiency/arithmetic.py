"""The precision that a device computes in.

`fp32` is IEEE single precision everywhere. `tf32` lets matrix products and convolutions use TF32.
`bf16` and `fp16` mean autocast to that type, with fp32 weights. PyTorch's own default is neither of
the first two: it multiplies matrices in fp32 and computes convolutions in TF32.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch

from trainables.efficiency.unmeasurable import UnmeasurableError

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
_HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}

Autocast = Callable[[], AbstractContextManager[object]]


@contextmanager
def arithmetic(device: torch.device, precision: str) -> Iterator[Autocast]:
    """Set the precision of fp32 arithmetic; yields the autocast to enter for each forward pass.

    Raises:
        UnmeasurableError: the device has no such arithmetic.
        RuntimeError: PyTorch's older and newer switches contradict each other.
    """
    _require(device, precision)
    backends: Any = torch.backends
    operators = (backends.cuda.matmul, backends.mkldnn.matmul, backends.cudnn.conv)
    operators = (*operators, backends.cudnn.rnn)
    exact = [operator.fp32_precision for operator in operators]
    matmul, convolutions = torch.get_float32_matmul_precision(), backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    backends.cudnn.allow_tf32 = precision == "tf32"
    half = _HALF.get(precision)
    try:
        yield partial(torch.autocast, device.type, half) if half else nullcontext
    finally:  # older and newer switches alike: PyTorch refuses to read them if they disagree
        torch.set_float32_matmul_precision(matmul)
        backends.cudnn.allow_tf32 = convolutions
        for operator, value in zip(operators, exact, strict=True):
            operator.fp32_precision = value


def _require(device: torch.device, precision: str) -> None:
    name, able = "the CPU", {"tf32": False}
    if device.type == "cuda":
        with torch.cuda.device(device):
            name = torch.cuda.get_device_name()
            able["tf32"] = torch.cuda.is_tf32_supported()
            able["bf16"] = torch.cuda.is_bf16_supported(including_emulation=False)
    if not able.get(precision, True):
        raise UnmeasurableError(f"{name} has no {precision} arithmetic")
