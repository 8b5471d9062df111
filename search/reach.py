"""Whether a Ray answers: asked before it is joined, and again and again while it is used.

Ray itself waits for minutes or for ever where its head is gone, and ends the process without a word
where the head goes away. So it is looked at from a thread of ours, and what is wrong is told.
"""

import os
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from trainables.errors import Exit

CONNECT_SECONDS = 5.0
SLOW_SECONDS, LATE_SECONDS = 15.0, 60.0  # for joining a cluster
_LOOK_SECONDS, _LOOK_CONNECT_SECONDS = 1.0, 2.0
_TELLS, _ENDS = 4, 15  # looks in a row without an answer after which it is told, and given up
_NEEDED = ("gcs_server", "raylet")  # of the processes of an embedded Ray


def answers(address: str, seconds: float = CONNECT_SECONDS) -> bool:
    """Whether something listens at `host:port`, `ray://host:port` too; what is neither passes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not host or not port.isdigit():
        return True
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=seconds).close()
    except OSError:
        return False
    return True


@contextmanager
def limited(late: Callable[[], None]) -> Generator[None]:
    """Say that the block takes long, by `late`; and end the process with exit code 5 at last.

    For calls of Ray that nothing interrupts.
    """
    timers = [threading.Timer(SLOW_SECONDS, late), threading.Timer(LATE_SECONDS, _give_up)]
    for timer in timers:
        timer.daemon = True
        timer.start()
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()


def _give_up(leave: Callable[[], None] | None = None) -> None:
    try:
        if leave:
            leave()
    finally:
        os._exit(Exit.RESOURCES)


def missing(node: Any) -> str:
    """Which part of the connected Ray is gone, or nothing.

    `node` is Ray's own of the driver. Of an embedded Ray the processes are looked at, of a cluster
    whether its head and this machine's part of it answer.
    """
    if node.all_processes:
        dead = [kind for kind, _ in node.dead_processes() if kind in _NEEDED]
        return f"{' and '.join(dead)} of Ray ended" if dead else ""
    places = {"head": node.gcs_address, "node": f"{node.node_ip_address}:{node.node_manager_port}"}
    gone = [
        f"the {part} at {place}"
        for part, place in places.items()
        if not answers(place, _LOOK_CONNECT_SECONDS)
    ]
    return f"{' and '.join(gone)} of the Ray cluster does not answer" if gone else ""


@contextmanager
def watched(node: Any, tell: Callable[[str], None], leave: Callable[[], None]) -> Generator[None]:
    """Look after the connected Ray, of which `node` is the driver's own part, during the block.

    If a part of it goes away: `tell`, which gets what, and if it stays away `leave` and the end of
    the process with exit code 5; for what waits on that part may wait for ever. Nothing is lost by
    it: what trials did is in the study and in their folders.
    """
    ended = threading.Event()

    def look() -> None:
        silent = 0
        while not ended.wait(_LOOK_SECONDS):
            what = missing(node)
            silent = silent + 1 if what else 0
            if ended.is_set():
                return
            gone = bool(silent and node.all_processes)  # a process that ended does not come back
            if gone or silent == _TELLS:
                tell(what)
            if gone or silent == _ENDS:
                _give_up(leave)

    watch = threading.Thread(target=look, name="ray-watch", daemon=True)
    watch.start()
    try:
        yield
    finally:
        ended.set()
        watch.join()
