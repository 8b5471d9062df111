"""The MLflow server for a home's sweeps, for this machine only.

    python -m search.ui

Exit codes: 0 stopped, 2 bad request, 5 no free port, 6 storage.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence

from reports.mlflow_contract import address, sqlite_file
from search.sweep_folder import sweeps
from trainables.errors import BadRequestError, Exit, ResourceError, StorageError, exit_code
from trainables.home import Home, add_option

_START_SECONDS = 60
_PORTS = 20


def free_port(wanted: int) -> int | None:
    """The first free port of 127.0.0.1 from `wanted` on."""
    for port in range(wanted, wanted + _PORTS):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    return None


def command(home: Home, port: int) -> list[str]:
    """MLflow's server on loopback. Its default accepts any host name that begins like a private
    address, so the hosts are listed."""
    hosts = f"127.0.0.1:{port},localhost:{port}"
    origins = f"http://127.0.0.1:{port},http://localhost:{port}"
    return [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1"),
        *("--artifacts-destination", home.artifacts.resolve().as_uri()),
        *("--allowed-hosts", hosts, "--cors-allowed-origins", origins),
    ]


def _healthy(port: int, server: subprocess.Popen[bytes]) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is this machine
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        try:
            with direct.open(f"http://127.0.0.1:{port}/health", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    return False


def main(arguments: Sequence[str] | None = None) -> int:
    """Start the server, print its address, and stop it on Ctrl-C; returns the exit code."""
    return exit_code(lambda: _serve(_parser().parse_args(arguments)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m search.ui", description=main.__doc__)
    add_option(parser)
    parser.add_argument("--port", type=int, default=5000)
    return parser


def _serve(given: argparse.Namespace) -> int:
    if not sweeps(given.home) and sqlite_file(address(given.home)) == given.home.mlflow.resolve():
        raise BadRequestError([f"no sweep in {given.home}; python -m search.run makes one"])
    port = free_port(given.port)
    if port is None:
        taken = f"{given.port} to {given.port + _PORTS - 1}"
        raise ResourceError([f"the ports {taken} are taken; choose another with --port"])
    if port != given.port:
        sys.stdout.write(f"port {given.port} is taken\n")
    log = given.home.ui_log
    for ending in (signal.SIGINT, signal.SIGTERM):  # or the server would outlive us
        signal.signal(ending, signal.default_int_handler)
    own = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    own["MLFLOW_BACKEND_STORE_URI"] = address(given.home)  # a command line is seen by everybody
    given.home.prepare()
    with log.open("a") as sink:
        server = subprocess.Popen(
            command(given.home, port),
            stdout=sink,
            stderr=sink,
            env=os.environ | own,
            start_new_session=True,  # Ctrl-C is for us, and we end it
        )
    try:
        if not _healthy(port, server):
            raise StorageError([f"MLflow did not start; its log is {log}"])
        sys.stdout.write(f"MLflow: http://127.0.0.1:{port} (stop it with Ctrl-C)\n")
        sys.stdout.flush()
        server.wait()
    except KeyboardInterrupt:
        sys.stdout.write("stopped\n")
    finally:
        server.terminate()
        server.wait()
    return Exit.DONE


if __name__ == "__main__":
    sys.exit(main())
