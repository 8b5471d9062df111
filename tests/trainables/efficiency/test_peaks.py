import re

import pytest

from trainables.efficiency import peaks
from trainables.efficiency.execution import PRECISIONS
from trainables.efficiency.peaks import peak, utilisation


@pytest.mark.parametrize(
    ("name", "teraflops"),
    [
        ("NVIDIA A100-SXM4-40GB", (19.5, 156, 312, 312)),
        ("A100-SXM4-40GB", (19.5, 156, 312, 312)),
        ("NVIDIA A100-PCIE-40GB", (19.5, 156, 312, 312)),
        ("NVIDIA A100 80GB PCIe", (19.5, 156, 312, 312)),
        ("NVIDIA H100 80GB HBM3", (66.9, 494.7, 989.4, 989.4)),
        ("NVIDIA H100 PCIe", (51.2, 378, 756, 756)),
        ("NVIDIA H200", (67, 494.5, 989.5, 989.5)),
        ("NVIDIA L4", (30.3, 60, 121, 121)),
        ("NVIDIA L40S", (91.6, 183, 362.05, 362.05)),
        ("NVIDIA A10", (31.2, 62.5, 125, 125)),
        ("Tesla T4", (8.1, None, None, 65)),
        ("Tesla V100-SXM2-16GB", (15.7, None, None, 125)),
        ("NVIDIA Tesla V100-PCIE-32GB", (14, None, None, 112)),
        ("NVIDIA GeForce RTX 3090", (35.6, 35.6, 71, 71)),
        ("NVIDIA GeForce RTX 4090", (82.6, 82.6, 165.2, 165.2)),
    ],
)
def test_known_gpus(name, teraflops):
    for precision, expected in zip(PRECISIONS, teraflops, strict=True):
        found = peak(name, precision)
        if expected is None:
            assert found is None
        else:
            assert found is not None
            assert found.flops_per_s == pytest.approx(expected * 1e12)
            assert found.source.startswith("NVIDIA")


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA A10G",
        "NVIDIA A100X",
        "NVIDIA H100 NVL",
        "NVIDIA H200 NVL",
        "NVIDIA GH200 480GB",
        "NVIDIA L40",
        "Tesla V100S-PCIE-32GB",
        "NVIDIA GeForce RTX 3090 Ti",
        "NVIDIA GeForce RTX 4090 D",
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "AMD Instinct MI300X",
        "Intel(R) Xeon(R) CPU @ 2.60GHz",
        "",
    ],
)
def test_others_are_unknown(name):
    assert peak(name, "fp32") is None


def test_a_name_is_of_one_gpu_only():
    names = ("A100-SXM4-80GB", "H100 PCIe", "L4", "L40S", "A10", "T4", "GeForce RTX 4090")
    for name in names:
        assert sum(bool(re.fullmatch(gpu.names, name)) for gpu in peaks._GPUS) == 1
    assert all(len(gpu.teraflops) == len(PRECISIONS) for gpu in peaks._GPUS)


def test_an_unknown_precision_is_a_mistake():
    with pytest.raises(ValueError, match="allowed are fp32, tf32, bf16, fp16"):
        peak("NVIDIA L4", "fp8")


def test_utilisation_counts_two_operations_a_multiply_add():
    assert utilisation(4.6e9, 3_000, 19.5e12) == pytest.approx(2 * 4.6e9 * 3_000 / 19.5e12)
    assert utilisation(4.6e9, 3_000, None) is None
