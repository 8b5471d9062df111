"""Measuring in a process of its own, so that nothing done before is in the numbers."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import trainables

_COMMAND = (sys.executable, "-m", "trainables.efficiency")
# on CUDA many batch sizes are searched, and compiled for
_SECONDS, _TIMEOUT_S = {"cuda": 60.0}, {"cuda": 1800.0}
# somebody wants the measuring to end: that says nothing of the model
_INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
ENDED_BY = "the measuring process was ended by"
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
    metrics: Sequence[str] = (),
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
        metrics: what is measured of the catalogue, with what comes along; by default everything.

    Returns:
        The answer of `python -m trainables.efficiency`, described there; or `{"error": reason}` if
        the model cannot be built, run or measured, or the process died or took too long.

    Raises:
        KeyboardInterrupt: the process was told to end, from outside or by Ctrl-C here.
    """
    if seconds is None:
        seconds = default_seconds(device)
    if timeout_s is None:
        timeout_s = seconds + _TIMEOUT_S.get(device.partition(":")[0], _TIMEOUT_ELSEWHERE_S)
    request = {"name": name, "params": dict(params), "image_size": image_size}
    request |= {"num_classes": num_classes, "in_chans": in_chans, "device": device}
    request |= {"training_batch_size": training_batch_size, "seconds": seconds}
    request |= {"precision": precision, "training_precision": training_precision, "mode": mode}
    request |= {"metrics": list(metrics)}
    try:
        answer = _asked(json.dumps(request), _environment(threads), timeout_s)
    except subprocess.TimeoutExpired:
        return {"error": f"measuring took longer than {timeout_s:g} s"}
    if -answer.returncode in _INTERRUPTIONS:
        raise KeyboardInterrupt
    if answer.returncode:
        return {"error": _death(answer)}
    return json.loads(answer.stdout.splitlines()[-1])


def _asked(
    request: str, environment: dict[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """The process that measured, which is gone when this returns or raises.

    It is in a session of its own: Ctrl-C in a terminal is for its parent, which ends it with all
    that it started.
    """
    process = subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(request, timeout_s)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return subprocess.CompletedProcess(_COMMAND, process.returncode, out, err)


def _environment(threads: int | None) -> dict[str, str]:
    """This process's environment, extended so that our packages are found and `threads` are set."""
    root = str(Path(trainables.__file__).parents[1])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    told = {} if threads is None else {"OMP_NUM_THREADS": str(threads)}
    return os.environ | {"PYTHONPATH": path} | told


def _death(answer: subprocess.CompletedProcess[str]) -> str:
    if answer.returncode < 0:
        return f"{ENDED_BY} {signal.Signals(-answer.returncode).name}"
    last_words = answer.stderr.strip().splitlines()[-1:] or ["it left no message"]
    return f"the measuring process ended with exit code {answer.returncode}: {last_words[0]}"
