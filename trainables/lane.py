"""A lane: one warm Ray Train worker group that trains one trial after the other.

A trial that starts its own `TorchTrainer.fit()` costs 11 to 19 s; here one `fit()` serves many
trials. Its workers read a numbered list of commands from a mailbox actor, each when it is ready:
no worker waits inside a collective while the lane is idle, and a late one misses nothing. Between
trials no process, process group, CUDA context or opened data set is made again.

This is the only module of `trainables` that imports Ray.
"""

import itertools
import logging
import threading
import uuid
from pathlib import Path
from typing import Any

import psutil
import ray
import torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks.datasets import DatasetsCallback
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.tune import Trainable
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from trainables.config import TrialConfig
from trainables.heap import give_back
from trainables.lock import shared
from trainables.mailbox import Mailbox
from trainables.shortage import out_of_memory
from trainables.team import Team
from trainables.trial import Trial
from trainables.trial_log import Line

GROWTH_BYTES = 2 * 2**30  # resident memory that a worker may gain over its first trial
LEAVE_SECONDS = 20.0
logger = logging.getLogger(__name__)


class LaneError(RuntimeError):
    """The workers are gone; the trial goes on in a new lane."""


def _opened(command: dict[str, Any], team: Team) -> Trial | Line:
    """The trial of an `open` command, or the line that ends the trial if it cannot be built."""
    try:
        config = TrialConfig.from_flat(command["flat"])
        directory, stages = Path(command["directory"]), Path(command["stages"])
        return Trial(config, directory, team, command["known_epoch"], stages)
    except ValueError as error:
        return Line(epoch=1, state="failed", reason=str(error))
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        return Line(epoch=1, state="infeasible", reason=str(error))


def _epoch(trial: Trial, team: Team) -> Line:
    """The trial's next epoch.

    If the team is one worker, an error in the code of the trial ends the trial: it would come again
    in a new lane. In a larger team it ends the lane, since the other workers may wait for this one.
    An error of the device always ends the lane, since the device may not recover.
    """
    try:
        return trial.epoch()
    except Exception as error:
        if team.size > 1 or isinstance(error, torch.AcceleratorError):
            raise
        logger.exception("trial %s failed", trial.directory.name)
        reason = f"{type(error).__name__}: {error}"
        return Line(epoch=trial.epochs_done + 1, state="failed", reason=reason)


def attend(settings: dict[str, Any]) -> None:
    """The loop of a worker: do one command after the other until told to return."""
    mailbox: Any = settings["mailbox"]
    team = Team.current()
    ray.get(mailbox.enlist.remote(ray.get_runtime_context().current_actor))
    trial: Trial | Line | None = None
    for number in itertools.count():
        command: Any = None
        while command is None:
            command = ray.get(mailbox.command.remote(number))
        answer: Any = None
        match command["do"]:
            case "open":
                trial = _opened(command, team)
            case "epoch":
                answer = _epoch(trial, team) if isinstance(trial, Trial) else trial
            case "close":
                trial = None
                give_back()
                if torch.cuda.is_available():
                    torch.cuda.empty_cache()
                answer = psutil.Process().memory_info().rss
            case "return":
                return
        if team.leads and answer is not None:
            ray.get(mailbox.answer.remote(number, answer))


class _LeanTrainer(TorchTrainer):
    """A TorchTrainer without two actors that a lane has no use for.

    One serves data sets, but none is handed to Ray. The other cleans up after workers, but a crew
    ends its workers itself, and the cleaner would ask a dashboard that an embedded Ray does not
    have. Each of them is a process that takes seconds to import.
    """

    def _create_default_callbacks(self) -> list[Any]:
        unused = DatasetsCallback, PlacementGroupCleanerCallback
        return [c for c in super()._create_default_callbacks() if not isinstance(c, unused)]


class Crew:
    """One `TorchTrainer.fit()` in a thread; its workers do what this object tells them."""

    def __init__(self, workers: int, cpus_per_worker: float, gpus_per_worker: float, storage: str):
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        actor: Any = ray.remote(Mailbox)
        placed = actor.options(num_cpus=0, max_concurrency=1000, scheduling_strategy=here)
        self._mailbox: Any = placed.remote()
        resources = {"CPU": cpus_per_worker, "GPU": gpus_per_worker}
        self._trainer = _LeanTrainer(
            attend,
            train_loop_config={"mailbox": self._mailbox},
            scaling_config=ScalingConfig(
                num_workers=workers,
                use_gpu=gpus_per_worker > 0,
                resources_per_worker={name: need for name, need in resources.items() if need},
            ),
            run_config=RunConfig(
                name=f"lane-{uuid.uuid4().hex[:8]}",
                storage_path=storage,
                failure_config=FailureConfig(max_failures=0),
            ),
        )
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._fit, daemon=True)
        self._thread.start()
        self._first_resident_bytes: int | None = None

    def _fit(self) -> None:
        try:
            self._trainer.fit()
        except BaseException as error:  # noqa: BLE001 - shown to whoever asks next
            self._failure = error

    def tell(self, **command: Any) -> int:
        return ray.get(self._mailbox.post.remote(command))

    def ask(self, **command: Any) -> Any:
        """Post a command and wait for the leader's answer.

        Raises:
            LaneError: the crew is gone.
        """
        number = self.tell(**command)
        while True:
            alive = self._thread.is_alive()
            answered, content = ray.get(self._mailbox.answered.remote(number))
            if answered:
                return content
            if not alive:
                raise LaneError(f"the worker group ended: {self._failure}")

    def worn(self, resident_bytes: int) -> bool:
        """Whether the leader's memory grew so much since its first trial that it must leak."""
        if self._first_resident_bytes is None:
            self._first_resident_bytes = resident_bytes
        return resident_bytes - self._first_resident_bytes > GROWTH_BYTES

    def dismiss(self) -> None:
        """Let the workers return, and kill those that do not."""
        self.tell(do="return")
        self._thread.join(LEAVE_SECONDS)
        if self._thread.is_alive():
            for worker in ray.get(self._mailbox.workers.remote()):
                ray.kill(worker)
            self._thread.join(LEAVE_SECONDS)
        ray.kill(self._mailbox)


class Lane(Trainable):
    """The Tune side of a lane, for `reuse_actors=True`: a step is an epoch.

    `config` holds `flat` and `directory` of the trial, its `known_epoch`, the folder of first
    `stages`, and the lock `quiet`, which is held while an epoch runs. `crew` holds the arguments of
    `Crew`, which Tune hands over by `with_parameters`. If a worker dies, `step` raises; Tune then
    restarts the trial in a new lane, where it goes on at its last commit.
    """

    def setup(self, config: dict[str, Any], crew: dict[str, Any] | None = None) -> None:
        assert crew is not None, "a lane is made for a crew"
        self._crew_arguments = crew
        self._crew = Crew(**crew)
        self._open(config)

    def _open(self, config: dict[str, Any]) -> None:
        parts = ("flat", "directory", "known_epoch", "stages")
        self._quiet = Path(config["quiet"])
        self._crew.tell(do="open", **{part: config[part] for part in parts})

    def step(self) -> dict[str, Any]:
        with shared(self._quiet):
            line: Line = self._crew.ask(do="epoch")
        return line.document()

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        resident_bytes = self._crew.ask(do="close")
        if self._crew.worn(resident_bytes):
            self._crew.dismiss()
            self._crew = Crew(**self._crew_arguments)
        self._open(new_config)
        return True

    def cleanup(self) -> None:
        self._crew.dismiss()
