"""The MLflow server: on this machine only, and gone when its command is."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from search import ui
from trainables.home import Home


@pytest.fixture
def taken_port():
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        yield holder.getsockname()[1]


def test_a_taken_port_is_skipped(taken_port):
    port = ui.free_port(taken_port)
    assert port is not None
    assert taken_port < port < taken_port + 20


def test_no_free_port(taken_port, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(ui, "_PORTS", 1)
    assert ui.free_port(taken_port) is None
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "plan.json").write_text("{}")
    assert ui.main(["--home", str(tmp_path), "--port", str(taken_port)]) == 5
    assert "choose another with --port" in capsys.readouterr().err


def test_the_server_is_for_this_machine_and_named_hosts_only(tmp_path):
    line = ui.command(Home(tmp_path), 5001)
    options = dict(zip(line[4::2], line[5::2], strict=True))
    assert options["--host"] == "127.0.0.1"
    assert options["--port"] == "5001"
    assert options["--allowed-hosts"] == "127.0.0.1:5001,localhost:5001"
    assert options["--cors-allowed-origins"] == "http://127.0.0.1:5001,http://localhost:5001"
    assert "--backend-store-uri" not in options, "its credentials would be in the process list"
    assert options["--artifacts-destination"] == (tmp_path / "mlflow-artifacts").as_uri()


def test_an_unknown_home(tmp_path, capsys):
    assert ui.main(["--home", str(tmp_path / "nowhere")]) == 2
    assert "no sweep in" in capsys.readouterr().err
    assert not (tmp_path / "nowhere").exists()


def status(port, host):
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search",
        data=b'{"max_results": 9}',
        headers={"Host": host, "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


@pytest.mark.slow
@pytest.mark.parametrize("way", [signal.SIGTERM, signal.SIGINT])
def test_the_server_answers_this_machine_and_stops(whole_sweep, way):
    line = [sys.executable, "-m", "search.ui", "--home", str(whole_sweep.home), "--port", "15000"]
    process = subprocess.Popen(
        line, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    try:
        assert process.stdout is not None
        told = process.stdout.readline()
        while told and not told.startswith("MLflow: "):
            told = process.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:(\d+) ", told)
        assert address, (whole_sweep.home / "ui.log").read_text()
        port = int(address[1])
        code, answer = status(port, f"localhost:{port}")
        assert code == 200
        assert "linformer" in answer
        assert status(port, f"127.0.0.1:{port}")[0] == 200
        assert status(port, "evil.example")[0] == 403
        assert status(port, f"192.168.0.1:{port}")[0] == 403
        os.kill(process.pid, way)
        assert process.wait(60) == 0
        assert unanswered(port), "the server outlives its command"
    finally:
        process.kill()
        process.communicate()


def unanswered(port):
    """Whether the port is closed soon."""
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)):
                return True
        time.sleep(0.1)
    return False
