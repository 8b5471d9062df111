"""`python -m trainables.efficiency`: one request on stdin, one answer on the last line of stdout.

The request is a JSON object with the arguments of `measure_fresh`. The answer is a JSON object with
`setting` (its label), `counts` and `measurements` (the fields of `Counts` and `Measurements`),
`device`, `occupancy_before` and `occupancy_after` (the fields of `Occupancy`), `versions`,
`started_utc` and `seconds`; or with `error`, the reason why there is nothing else.
"""

import json
import sys
import time
from contextlib import redirect_stdout
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

import psutil
import torch

from trainables import models
from trainables.efficiency.bench import NOT_WANTED, UTILISATION
from trainables.efficiency.count import Counts, count
from trainables.efficiency.device import resolve
from trainables.efficiency.execution import Setting
from trainables.efficiency.measure import measure
from trainables.efficiency.occupancy import occupancy
from trainables.provenance import versions


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Count and measure the requested model."""
    started_utc, started = datetime.now(UTC), time.perf_counter()
    setting = Setting(request["mode"], request["precision"], request["training_precision"])
    device = resolve(request["device"])
    torch.zeros(1, device=device)  # so that our own process is already among those on the GPU
    before = occupancy(device)
    counts, measurements = _measured(request, device, setting)
    after = occupancy(device)
    return {
        "setting": setting.label,
        "device": measurements.pop("device"),
        "counts": asdict(counts) if counts else {"reasons": _not_counted()},
        "measurements": measurements,
        "occupancy_before": asdict(before),
        "occupancy_after": asdict(after),
        "versions": versions(),
        "started_utc": started_utc.isoformat(timespec="seconds"),
        "seconds": time.perf_counter() - started,
    }


def _not_counted() -> dict[str, str]:
    return {field.name: NOT_WANTED for field in fields(Counts)}


def _measured(
    request: dict[str, Any], device: torch.device, setting: Setting
) -> tuple[Counts | None, dict[str, Any]]:
    torch.manual_seed(0)
    image = {key: request[key] for key in ("image_size", "in_chans")}
    model = models.build(
        request["name"], request["params"], num_classes=request["num_classes"], **image
    )
    metrics = request["metrics"]
    counts = None if metrics and UTILISATION[0] not in metrics else count(model, **image)
    measurements = measure(
        model,
        **image,
        device=device,
        setting=setting,
        training_batch_size=request["training_batch_size"],
        seconds=request["seconds"],
        gmacs=counts and counts.gmacs,
        metrics=metrics,
    )
    return counts, asdict(measurements)


def keep_within_memory() -> None:
    """Make an allocation fail that would not fit, so that the system does not kill the process."""
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
        with redirect_stdout(sys.stderr):  # a model may print, and stdout is for the answer alone
            result = answer(request)
    except Exception as error:  # noqa: BLE001 - any error of a model is why it has no row
        result = {"error": f"{type(error).__name__}: {error}"}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
