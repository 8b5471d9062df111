"""A Ray to run on: a cluster that is there, or an embedded one that ends with the driver."""

import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from search import embedded, reach
from trainables.errors import ResourceError

# Ray writes the address of a head that `ray start` made on this machine here
_HEAD_ADDRESS = Path(tempfile.gettempdir()) / "ray" / "ray_current_cluster"
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    "RAY_TRAIN_METRICS_ENABLED": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # a cluster that has to boot nodes may need longer than Train's minute
    "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "1800",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_RESULT_BUFFER_LENGTH": "1",
    # the study is the truth, Tune's own snapshots are never read
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What is asked of a cluster; None is for what `crews` is to choose."""

    lanes: int | None = None
    workers: int | None = None
    cpus_per_worker: float | None = None
    gpus_per_worker: float | None = None
    wait_for_resources: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Crews:
    """Worker groups: `lanes` of them, each of `workers` with CPUs and GPUs of their own."""

    lanes: int
    workers: int
    cpus_per_worker: float
    gpus_per_worker: float

    def arguments(self, storage: Path) -> dict[str, Any]:
        """What `trainables.lane.Crew` takes."""
        return {
            "workers": self.workers,
            "cpus_per_worker": self.cpus_per_worker,
            "gpus_per_worker": self.gpus_per_worker,
            "storage": str(storage),
        }


def address_of(given: str | None) -> str | None:
    """The cluster to join: as given, as RAY_ADDRESS says, or the head this machine is."""
    if given or os.environ.get("RAY_ADDRESS"):
        return given or os.environ["RAY_ADDRESS"]
    return _HEAD_ADDRESS.read_text().strip() if _HEAD_ADDRESS.exists() else None


def refuse_dead(given: str | None) -> None:
    """Refuse a cluster that nobody answers for, with where its address is from."""
    address = address_of(given)
    if not address or reach.answers(address):
        return
    said, mend = f"no Ray answers at {address}", "is the cluster up, and its head still there?"
    if not given and not os.environ.get("RAY_ADDRESS"):
        said += f", which {_HEAD_ADDRESS} names"
        mend = "start that head again, or remove the file to run without a cluster"
    elif not given:
        said += ", which RAY_ADDRESS names"
    raise ResourceError([f"{said}; {mend}"])


@contextmanager
def connected(address: str | None, tell: Callable[[str], None]) -> Generator[None]:
    """Be connected to the cluster at `address`, or to an embedded Ray, for the block.

    If Ray does not answer any more, `tell` gets what is wrong and the process ends with exit code
    5.

    Raises:
        ResourceError: Ray cannot be started or joined.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    import ray

    driver: Any = cast(Any, ray)  # its types are incomplete
    with nullcontext() if address else embedded.folder() as folder:
        handlers = {way: signal.getsignal(way) for way in (signal.SIGINT, signal.SIGTERM)}
        try:
            _start(address, folder, tell)
            for way, handler in handlers.items():  # Ray's would end us without a word
                signal.signal(way, handler)
            # nothing public tells the driver's own part of Ray
            node = driver._private.worker._global_node

            def leave() -> None:
                node.kill_all_processes(check_alive=False, allow_graceful=False)
                shutil.rmtree(folder or "", ignore_errors=True)

            with reach.watched(node, tell, leave) if node else nullcontext():
                yield
        finally:
            driver.shutdown()


def _start(address: str | None, folder: Path | None, tell: Callable[[str], None]) -> None:
    """Start an embedded Ray in `folder`, at the second try on a busy machine, or join a cluster."""
    import ray

    driver: Any = cast(Any, ray)  # its types are incomplete
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address:
        embedded.hide_token()
        settings = {name: os.environ[name] for name in _SETTINGS}
        late = f"cannot start on the Ray cluster at {address}: it does not answer"
        try:
            with reach.limited(lambda: tell(late)):
                driver.init(address=address, runtime_env={"env_vars": settings}, **quiet)
        except Exception as error:  # Ray has no error of its own for this
            raise ResourceError(
                [f"cannot start on the Ray cluster at {address}: {error}"]
            ) from error
        return
    embedded.bring_token()
    for last in (False, True):
        try:
            driver.init("local", include_dashboard=False, _temp_dir=str(folder), **quiet)
        except Exception as error:  # plain ones among them, when it did not start in time
            driver.shutdown()
            if last:
                raise ResourceError([f"cannot start on an embedded Ray: {error}"]) from error
        else:
            return


def lane_needs(asked: Resources, gpus_exist: bool) -> tuple[int, float, float]:
    """Workers of a lane, and CPUs and GPUs of a worker; what is not asked for is chosen."""
    gpus = float(gpus_exist) if asked.gpus_per_worker is None else asked.gpus_per_worker
    return asked.workers or 1, asked.cpus_per_worker or 1.0, gpus


def _fitting(nodes: Sequence[Mapping[str, float]], asked: Resources) -> int:
    """How many lanes the nodes hold, each worker on one node."""
    workers, cpus, gpus = lane_needs(asked, any(node.get("GPU", 0) for node in nodes))
    needs = {name: need for name, need in (("CPU", cpus), ("GPU", gpus)) if need}
    places = sum(
        min(int(node.get(name, 0) / need + 1e-9) for name, need in needs.items()) for node in nodes
    )
    return places // workers


def _refusal(nodes: Sequence[Mapping[str, float]], asked: Resources) -> ResourceError:
    total = {name: sum(node.get(name, 0) for node in nodes) for name in ("CPU", "GPU")}
    workers, cpus, gpus = lane_needs(asked, total["GPU"] > 0)
    said = (
        f"{asked.lanes or 1} lane(s) of {workers} worker(s) with {cpus:g} CPU and "
        f"{gpus:g} GPU each do not fit: there are {len(nodes)} node(s) with "
        f"{total['CPU']:g} CPUs and {total['GPU']:g} GPUs in all; ask for less, or wait for "
        "nodes of a cluster with "
        "--wait-for-resources SECONDS"
    )
    return ResourceError([said])


def precheck(asked: Resources) -> None:
    """Refuse what this machine does not have before an embedded Ray is started."""
    if lanes_here(asked) < (asked.lanes or 1):
        raise _refusal([_here()], asked)


def gpus_here() -> int:
    """How many GPUs this machine has."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def lanes_here(asked: Resources) -> int:
    """How many lanes this machine has room for."""
    return _fitting([_here()], asked)


def _here() -> dict[str, float]:
    return {"CPU": float(len(os.sched_getaffinity(0))), "GPU": float(gpus_here())}


def crews(asked: Resources, trials: int | None) -> Crews:
    """Divide the connected cluster into lanes, as many as are `asked` for or of use to `trials`.

    A worker gets one GPU where there are any.

    Raises:
        ResourceError: Not even one lane fits, or not as many as asked for, within
            `wait_for_resources` seconds.
    """
    end = time.monotonic() + (asked.wait_for_resources or 0)
    while True:
        nodes = _nodes()
        fitting = _fitting(nodes, asked)
        if fitting >= (asked.lanes or 1):
            break
        if time.monotonic() >= end:
            raise _refusal(nodes, asked)
        time.sleep(1)
    workers, cpus, gpus = lane_needs(asked, has_gpus())
    return Crews(
        lanes=asked.lanes or max(1, min(fitting, trials or fitting)),
        workers=workers,
        cpus_per_worker=cpus,
        gpus_per_worker=gpus,
    )


def _nodes() -> list[dict[str, float]]:
    import ray

    nodes = cast(list[dict[str, Any]], ray.nodes())
    return [node["Resources"] for node in nodes if node["Alive"]]


def has_gpus() -> bool:
    """Whether the connected cluster has a GPU."""
    return any(node.get("GPU", 0) for node in _nodes())
