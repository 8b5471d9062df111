"""Everything that this project claims of GPUs, measured in at most eight minutes on one of them.

    python -m tests.benchmarks.gpu --out FOLDER              # on a GPU
    python -m tests.benchmarks.gpu --out FOLDER --rehearse   # the same at toy sizes on the CPU

Needs neither Ray nor Optuna nor MLflow, and fvcore only for FLOPs. The parts run one after the
other, the most important first, each in a process of its own that is ended at its limit. What a
part finds stands in FOLDER/table.md and FOLDER/figures.jsonl as soon as it is found; a part that
fails is noted with its traceback and passed over; what they print is in FOLDER/log.txt. docs/gpu.md
says what the rows mean.
"""

import argparse
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from platform import python_version

import torch

from tests.benchmarks.gpu_claims.claim import Ledger, Scale
from trainables.efficiency.device import describe

# seconds that a part may take, in order of importance
PARTS = {
    "marked_tests": 120,
    "gradients": 100,
    "steps": 110,
    "inference": 170,
    "fresh_processes": 150,
    "pixels": 60,
    "energy": 75,
}
BUDGET_S = 480
LEAST_S = 5  # left, for another part to begin
LOG = "log.txt"


def run_part(name: str, scale: Scale, ledger: Ledger) -> int:
    """One part in this process; its exit code."""
    part = importlib.import_module(f"tests.benchmarks.gpu_claims.{name}")
    started = time.perf_counter()
    try:
        part.run(scale, lambda *told, **figures: ledger.add(name, *told, **figures))
    except Exception:  # noqa: BLE001 - whatever went wrong is what this part found
        text = traceback.format_exc()
        print(text, file=sys.stderr)
        last = text.strip().splitlines()[-1]
        ledger.add(name, "failed", last, traceback=text)
        return 1
    seconds = time.perf_counter() - started
    ledger.add(name, "whole part", f"{seconds:.0f} s", seconds=seconds)
    return 0


def run_apart(name: str, given: argparse.Namespace, limit_s: float, ledger: Ledger) -> bool:
    """One part in a process of its own; whether it came to its end."""
    command = [sys.executable, "-m", __spec__.name, "--out", str(given.out), "--part", name]
    command += ["--scratch", str(given.scratch)] + ["--rehearse"] * given.rehearse
    with (given.out / LOG).open("ab") as log:
        child = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            code = child.wait(limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            ledger.add(name, "ended", f"at its limit of {limit_s:.0f} s; rows after it are missing")
            return False
    if code < 0:
        ledger.add(name, "ended", f"by {signal.Signals(-code).name}; see {LOG}")
    return code == 0


def heading(device: torch.device, toy: bool) -> str:
    facts = describe(device)
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "torchvision", "timm"))
    return (
        f"{facts['name']}, {facts['memory_bytes'] / 2**30:.0f} GiB, {facts['cores']} cores; "
        f"driver {facts['driver']}, CUDA {facts['cuda']}; Python {python_version()}, {versions}; "
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC" + (", toy sizes" if toy else "")
    )


def request() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    parser.add_argument("--rehearse", action="store_true", help="toy sizes, on the CPU")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--seconds", type=float, default=BUDGET_S, help="for all parts together")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--scratch", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if not given.rehearse and not torch.cuda.is_available():
        parser.error("there is no CUDA device; --rehearse runs everything at toy sizes on the CPU")
    return given


def all_parts(given: argparse.Namespace, ledger: Ledger) -> list[str]:
    """Run the parts that were asked for; those that did not come to their end."""
    ends, failed = time.monotonic() + given.seconds, []
    for name in given.parts:
        left = ends - time.monotonic()
        if left < LEAST_S:
            ledger.add(name, "not run", f"the {given.seconds:.0f} s were used up before it")
            failed.append(name)
            continue
        limit_s = min(left, PARTS[name])
        print(f"{name} ({limit_s:.0f} s at most)", file=sys.stderr, flush=True)
        if not run_apart(name, given, limit_s, ledger):
            failed.append(name)
    return failed


def main() -> int:
    given = request()
    device = torch.device("cpu") if given.rehearse else torch.device("cuda", 0)
    given.out.mkdir(parents=True, exist_ok=True)
    ledger = Ledger(given.out)
    if given.part:
        return run_part(given.part, Scale(device, given.rehearse, given.scratch), ledger)
    if given.rehearse:
        os.environ["OMP_NUM_THREADS"] = "1"  # threads that wait for each other cost toys the most
    ledger.begin(heading(device, given.rehearse))
    (given.out / LOG).write_text("")
    with tempfile.TemporaryDirectory() as folder:
        given.scratch = Path(folder)
        os.environ["SEARCH_CACHE"] = str(given.scratch / "cache")
        failed = all_parts(given, ledger)
    print(ledger.text())
    if failed:
        print(f"not whole: {', '.join(failed)}")
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
