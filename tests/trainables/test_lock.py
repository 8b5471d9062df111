"""Locks of files: one holder at a time, and none after its end."""

import subprocess
import sys
import threading

from trainables.lock import exclusive, taken


def test_a_lock_is_held_once_and_given_back(tmp_path):
    path = tmp_path / "new" / "lock"
    with exclusive(path), path.open("a") as other:
        assert not taken(other)
    with path.open("a") as other:
        assert taken(other)


def test_who_waits_goes_on_when_the_holder_is_done(tmp_path):
    path, order = tmp_path / "lock", []

    def wait() -> None:
        with exclusive(path):
            order.append("second")

    with exclusive(path):
        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_a_killed_process_holds_nothing(tmp_path):
    path = tmp_path / "lock"
    code = (
        "import sys; from pathlib import Path; from trainables.lock import exclusive\n"
        "with exclusive(Path(sys.argv[1])): print(flush=True); input()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, **pipes) as holder, path.open("a") as other:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert not taken(other)
        holder.kill()
        holder.wait()
        assert taken(other)
