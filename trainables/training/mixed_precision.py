"""Half precision where a device is fast at it; weights and optimiser stay in fp32."""

from contextlib import AbstractContextManager, nullcontext

import torch


def half(device: torch.device) -> torch.dtype | None:
    """bf16 if the device computes it in hardware, else fp16 on CUDA; None if it has neither."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            able = torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if able else torch.float16
    return torch.bfloat16 if _processor_has_bf16() else None


def _processor_has_bf16() -> bool:
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check, bool)() for check in checks)


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    """A block whose operators compute in `dtype`; None changes nothing."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)
