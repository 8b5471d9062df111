"""`python -m trainables.efficiency`: one request on stdin, one answer on the last line of stdout.

The request is a JSON object with the arguments of `measure_fresh`. The answer is one, too:
`counts` and `measurements` (the fields of `Counts` and `Measurements`), `device`, `versions`,
`started_utc`, `seconds`, `other_busy_cores` (cores that other processes kept busy meanwhile) and
`other_load` (whether that was enough to disturb); or `error`, the reason why there is none.
"""

import json
import sys
import time
from contextlib import redirect_stdout
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from platform import python_version
from typing import Any

import psutil
import torch

from trainables import models
from trainables.efficiency.count import count
from trainables.efficiency.measure import measure

_DISTURBING_CORES = 0.25


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Count and measure the requested model."""
    started_utc, started = datetime.now(UTC), time.perf_counter()
    psutil.cpu_percent()  # the next call reports the time since this one
    own_s = time.process_time()
    torch.manual_seed(0)
    image = {key: request[key] for key in ("image_size", "in_chans")}
    model = models.build(
        request["name"], request["params"], num_classes=request["num_classes"], **image
    )
    counts = count(model, **image)
    measurements = asdict(
        measure(
            model,
            **image,
            device=request["device"],
            training_batch_size=request["training_batch_size"],
            seconds=request["seconds"],
        )
    )
    seconds = time.perf_counter() - started
    own_cores = (time.process_time() - own_s) / seconds
    busy_cores = psutil.cpu_percent() / 100 * (psutil.cpu_count() or 1)
    other_cores = max(0.0, busy_cores - own_cores)
    return {
        "device": measurements.pop("device"),
        "counts": asdict(counts),
        "measurements": measurements,
        "versions": {"python": python_version()}
        | {name: version(name) for name in ("torch", "timm", "fvcore", "numpy")},
        "started_utc": started_utc.isoformat(timespec="seconds"),
        "seconds": seconds,
        "other_busy_cores": other_cores,
        "other_load": other_cores > _DISTURBING_CORES,
    }


def keep_within_memory() -> None:
    """Let the allocation fail that would not fit, rather than have the system kill the process."""
    if sys.platform != "linux":
        return
    import resource

    limit = psutil.Process().memory_info().data + psutil.virtual_memory().available
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def main() -> None:
    request = json.load(sys.stdin)
    if request["device"] == "cpu":
        keep_within_memory()
    try:
        with redirect_stdout(sys.stderr):  # a model may print; the answer stays alone
            result = answer(request)
    except Exception as error:  # noqa: BLE001 - whatever a model raises is the reason it has no row
        result = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
