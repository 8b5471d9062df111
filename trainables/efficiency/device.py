"""Facts about the device that a measurement ran on."""

import re
from pathlib import Path
from typing import Any

import psutil
import torch

from trainables import processor
from trainables.efficiency.peaks import peak


def resolve(device: str | torch.device) -> torch.device:
    """The device that a name stands for: `cpu`, `cuda` (the first one) or `cuda:N`.

    Raises:
        ValueError: it is another kind of device, or this machine does not have it.
    """
    try:
        target = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device {str(device)!r} is unknown; use 'cpu', 'cuda' or 'cuda:N'") from (
            error
        )
    if target.type == "cpu":
        return target
    if target.type != "cuda":
        raise ValueError(f"device {str(device)!r} cannot be measured; use 'cpu' or 'cuda'")
    found = torch.cuda.device_count()
    index = target.index or 0
    if index >= found:
        raise ValueError(
            f"device {str(device)!r} is not there: this machine has {found} CUDA devices"
        )
    return torch.device("cuda", index)


def describe(device: str | torch.device, precision: str = "fp32") -> dict[str, Any]:
    """Kind, name, memory, cores, threads, load and versions of a device, ready for JSON.

    `peak_flops` (FLOP/s in `precision`) is None unless it and its source are known. `load_average`
    is that of the host over 1, 5 and 15 minutes; `cores` are those that this process may use.
    """
    target = resolve(device)
    on_cuda = target.type == "cuda"
    name = torch.cuda.get_device_name(target) if on_cuda else processor.name()
    known = peak(name, precision)
    return {
        "kind": target.type,
        "name": name,
        "memory_bytes": (
            torch.cuda.get_device_properties(target).total_memory
            if on_cuda
            else psutil.virtual_memory().total
        ),
        "cores": len(processor.usable_cores()),
        "threads": torch.get_num_threads(),
        "load_average": list(psutil.getloadavg()),
        "torch": torch.__version__,
        "cuda": torch.version.cuda if on_cuda else None,
        "driver": _nvidia_driver() if on_cuda else None,
        "peak_flops": known and known.flops_per_s,
        "peak_flops_source": known and known.source,
    }


def _nvidia_driver() -> str | None:
    version = Path("/proc/driver/nvidia/version")
    found = re.search(r"\d+\.\d+(\.\d+)?", version.read_text()) if version.exists() else None
    return found[0] if found else None
