"""Measuring in a process of its own, so that nothing done before is in the numbers."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import Signals
from typing import Any

import trainables

_COMMAND = (sys.executable, "-m", "trainables.efficiency")
# on CUDA many batch sizes are searched, and compiled for
_SECONDS, _TIMEOUT_S = {"cuda": 60.0}, {"cuda": 1800.0}
_SECONDS_ELSEWHERE, _TIMEOUT_ELSEWHERE_S = 2.0, 600.0


def default_seconds(device: str) -> float:
    """The default time for timing in one measuring process: 60 s on CUDA, else 2 s."""
    return _SECONDS.get(device.partition(":")[0], _SECONDS_ELSEWHERE)


def measure_fresh(
    name: str,
    params: Mapping[str, Any],
    *,
    image_size: int,
    num_classes: int,
    in_chans: int = 3,
    device: str = "cpu",
    threads: int | None = None,
    training_batch_size: int = 64,
    seconds: float | None = None,
    timeout_s: float | None = None,
    precision: str = "fp32",
    training_precision: str = "fp32",
    mode: str = "eager",
) -> dict[str, Any]:
    """Build, count and measure the model `trainables.models.build(name, params, ...)`.

    Args:
        name: of the model.
        params: its parameters.
        image_size: in pixels.
        num_classes: number of logits.
        in_chans: channels of an image.
        device: `cpu`, `cuda` or `cuda:N`.
        threads: PyTorch's threads on the CPU, by default what the environment says.
        training_batch_size: images per training step.
        seconds: time for timing, by default that of `default_seconds`.
        timeout_s: time for everything, by default half an hour on CUDA or 10 minutes elsewhere,
            plus `seconds`.
        precision: of forward passes, as in `execution.Setting`.
        training_precision: of training steps.
        mode: of forward passes.

    Returns:
        The answer of `python -m trainables.efficiency`, described there; or `{"error": reason}` if
        the model cannot be built, run or measured, or the process died or took too long.
    """
    if seconds is None:
        seconds = default_seconds(device)
    if timeout_s is None:
        timeout_s = seconds + _TIMEOUT_S.get(device.partition(":")[0], _TIMEOUT_ELSEWHERE_S)
    request = {"name": name, "params": dict(params), "image_size": image_size}
    request |= {"num_classes": num_classes, "in_chans": in_chans, "device": device}
    request |= {"training_batch_size": training_batch_size, "seconds": seconds}
    request |= {"precision": precision, "training_precision": training_precision, "mode": mode}
    try:
        answer = subprocess.run(
            _COMMAND,
            input=json.dumps(request),
            env=_environment(threads),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"measuring took longer than {timeout_s:g} s"}
    if answer.returncode:
        return {"error": _death(answer)}
    return json.loads(answer.stdout.splitlines()[-1])


def _environment(threads: int | None) -> dict[str, str]:
    """This process's environment, extended so that our packages are found and `threads` are set."""
    root = str(Path(trainables.__file__).parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    told = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    return os.environ | {"PYTHONPATH": path} | told


def _death(answer: subprocess.CompletedProcess[str]) -> str:
    if answer.returncode < 0:
        return f"the measuring process was ended by {Signals(-answer.returncode).name}"
    last_words = answer.stderr.strip().splitlines()[-1:] or ["it left no message"]
    return f"the measuring process ended with exit code {answer.returncode}: {last_words[0]}"
