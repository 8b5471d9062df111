"""Peak arithmetic of GPUs, and the share of it that a model achieves.

Peaks are those that NVIDIA prints for dense arithmetic (without structured sparsity) at boost
clock. `fp32` is the peak of the ordinary cores; the others are peaks of the tensor cores, which sum
in fp32 for half precision, as PyTorch uses them. If a data sheet prints only figures with sparsity,
they are halved, as its footnotes say.
"""

import re
from typing import NamedTuple

from trainables.efficiency.arithmetic import PRECISIONS

_TERA = 1e12


class Peak(NamedTuple):
    """Floating-point operations per second, and where that is printed."""

    flops_per_s: float
    source: str


class _Gpu(NamedTuple):
    """Peaks in TFLOP/s in the order of `PRECISIONS`; None for arithmetic that it lacks."""

    names: str  # pattern of the whole device name, without the brand
    teraflops: tuple[float | None, ...]
    source: str


_GPUS = (
    _Gpu(
        r"A100-(SXM4|PCIE)-(40|80)GB|A100 80GB PCIe",
        (19.5, 156, 312, 312),
        "NVIDIA A100 Tensor Core GPU data sheet",
    ),
    _Gpu(
        r"H100 80GB HBM3",
        (66.9, 494.7, 989.4, 989.4),
        "NVIDIA H100 Tensor Core GPU Architecture white paper, H100 SXM5",
    ),
    _Gpu(
        r"H100 PCIe",
        (51.2, 378, 756, 756),
        "NVIDIA H100 Tensor Core GPU Architecture white paper, H100 PCIe",
    ),
    _Gpu(
        r"H200",
        (67, 494.5, 989.5, 989.5),
        "NVIDIA H200 Tensor Core GPU data sheet, H200 SXM, tensor figures halved",
    ),
    _Gpu(
        r"L4", (30.3, 60, 121, 121), "NVIDIA L4 Tensor Core GPU data sheet, tensor figures halved"
    ),
    _Gpu(r"L40S", (91.6, 183, 362.05, 362.05), "NVIDIA L40S data sheet"),
    _Gpu(r"A10", (31.2, 62.5, 125, 125), "NVIDIA A10 Tensor Core GPU data sheet"),
    _Gpu(r"T4", (8.1, None, None, 65), "NVIDIA T4 Tensor Core GPU data sheet"),
    _Gpu(
        r"V100-SXM2-(16|32)GB",
        (15.7, None, None, 125),
        "NVIDIA V100 Tensor Core GPU data sheet, V100 SXM2",
    ),
    _Gpu(
        r"V100-PCIE-(16|32)GB",
        (14, None, None, 112),
        "NVIDIA V100 Tensor Core GPU data sheet, V100 PCIe",
    ),
    _Gpu(
        r"GeForce RTX 3090",
        (35.6, 35.6, 71, 71),
        "NVIDIA Ampere GA102 GPU Architecture white paper, GeForce RTX 3090",
    ),
    _Gpu(
        r"GeForce RTX 4090",
        (82.6, 82.6, 165.2, 165.2),
        "NVIDIA Ada GPU Architecture white paper, GeForce RTX 4090",
    ),
)


def peak(device_name: str, precision: str) -> Peak | None:
    """The peak of a GPU as `torch.cuda.get_device_name` calls it; None if it is not known.

    The whole name must match: slices of a GPU (MIG) and its mobile and cut-down versions have
    other peaks.

    Raises:
        ValueError: the precision is not one of `PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}, allowed are {', '.join(PRECISIONS)}")
    model = re.sub(r"^(NVIDIA |Tesla )*", "", device_name)
    for gpu in _GPUS:
        if re.fullmatch(gpu.names, model):
            teraflops = gpu.teraflops[PRECISIONS.index(precision)]
            return None if teraflops is None else Peak(teraflops * _TERA, gpu.source)
    return None


def utilisation(
    multiply_adds: float, images_per_s: float, peak_flops_per_s: float | None
) -> float | None:
    """Achieved share of the peak; a multiply-add is 2 operations. None if the peak is not known.

    `multiply_adds` are those of one image's forward pass (`Counts.gmacs` * 1e9).
    """
    if peak_flops_per_s is None:
        return None
    return 2 * multiply_adds * images_per_s / peak_flops_per_s
