"""Placement groups of this driver whose maker is dead: nobody else gives their resources back.

Tune ends a lane that has not started yet when its trial went to another one. The controller that
such a lane had started dies with it, and what it had reserved, or was about to, stays reserved. A
lane that waits for those resources would wait for ever.
"""

import logging
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, cast

import ray
from ray._private.state import state as ray_state
from ray.core.generated import gcs_pb2
from ray.util.placement_group import PlacementGroup, remove_placement_group

_PAUSE_SECONDS = 5.0
_OVER = ("REMOVED",)
logger = logging.getLogger(__name__)


def release() -> int:
    """Remove this driver's placement groups whose creator is dead; returns how many there were.

    A group that was meant to outlive its creator stays, and so do those of others on the cluster.
    """
    state, private = cast(Any, ray_state), cast(Any, gcs_pb2)
    job = cast(Any, ray.get_runtime_context()).worker.current_job_id
    dead = state.actor_table(None, job, "DEAD").keys()
    orphans = 0
    for written in state._connect_and_get_accessor().get_placement_group_table():
        group = private.PlacementGroupTableData.FromString(written)
        name = private.PlacementGroupTableData.PlacementGroupState.Name(group.state)
        if name in _OVER or group.is_detached or group.creator_actor_id.hex() not in dead:
            continue
        identity = ray.PlacementGroupID(group.placement_group_id)
        cast(Any, remove_placement_group)(PlacementGroup(identity))
        orphans += 1
    return orphans


@contextmanager
def released() -> Generator[None]:
    """Look for such groups every few seconds, in a thread, while the body runs."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(_PAUSE_SECONDS):
            try:
                if count := release():
                    logger.warning("gave back what %d dead controllers had reserved", count)
            except Exception:
                logger.exception("no look at placement groups")

    thread = threading.Thread(target=watch, name="orphans", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
