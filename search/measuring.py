"""Where architectures are measured: on this machine, or on a node of a cluster."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from trainables.efficiency.repeats import Conditions
from trainables.provenance import facts

_VERSIONS = ("python", "torch", "timm", "numpy")

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Measuring:
    """A way to call `measure_fresh`, the name of the device that it measures, and the threads.

    `threads` are PyTorch's on the CPU, None for those of the device's environment.
    """

    run: Callable[..., Answer]
    device: str
    threads: int | None = None

    @property
    def kind(self) -> str:
        """`cpu` or `cuda`."""
        return self.device.partition(":")[0]

    def conditions(self, seconds: float) -> Conditions:
        """The conditions of measurements that give `seconds` to timing."""
        return Conditions(
            device=self.device,
            threads=self.threads,
            timing_seconds=seconds,
            versions={name: str(facts()["versions"][name]) for name in _VERSIONS},
        )


def here(device: str | None = None) -> Measuring:
    """Measure on this machine: on `device`, or without one on a GPU if there is one.

    Raises:
        ValueError: The machine has no such device.
    """
    import torch

    from trainables.efficiency import measure_fresh
    from trainables.efficiency.device import resolve

    target = resolve(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    name = facts()["processor"] if target.type == "cpu" else facts()["gpus"][target.index]
    run = partial(measure_fresh, device=str(target))
    return Measuring(run, f"{target.type}: {name}", os.cpu_count())


def on_cluster(gpu: bool) -> Measuring:
    """Measure on a node of the connected cluster, which has a GPU, or a CPU, to itself."""
    import ray

    from trainables.efficiency import measure_fresh

    kind = "cuda" if gpu else "cpu"
    options: Any = ray.remote(num_cpus=1, num_gpus=int(gpu), max_calls=1)
    task = options(measure_fresh)

    def run(*arguments: Any, **named: Any) -> Answer:
        return cast(Answer, ray.get(task.remote(*arguments, device=kind, **named)))

    return Measuring(run, f"{kind}: cluster")
