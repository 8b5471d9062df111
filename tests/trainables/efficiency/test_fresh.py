import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from trainables.efficiency import __main__ as command
from trainables.efficiency import fresh, measure_fresh, occupancy
from trainables.metrics import EFFICIENCY

MODEL = {"depth": 1, "dim": 8, "heads": 1, "patch": 7}
SIZES = {"image_size": 14, "num_classes": 3}
REQUEST = {
    "name": "vit",
    "params": MODEL,
    **SIZES,
    "in_chans": 3,
    "device": "cpu",
    "training_batch_size": 2,
    "seconds": 0.1,
    "precision": "fp32",
    "training_precision": "fp32",
    "mode": "eager",
    "metrics": [],
}


def child(monkeypatch, source):
    monkeypatch.setattr(fresh, "_COMMAND", (sys.executable, "-c", source))
    return measure_fresh("vit", MODEL, **SIZES, threads=1, timeout_s=30)


def answer(monkeypatch, capsys, **changes):
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(REQUEST | changes)))
    monkeypatch.setattr(command, "keep_within_memory", lambda: None)
    command.main()
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.mark.slow
def test_a_fresh_process_answers_with_all_numbers():
    found = measure_fresh("vit", MODEL, **SIZES, threads=1, training_batch_size=2, seconds=0.1)
    assert set(EFFICIENCY) <= found["counts"].keys() | found["measurements"].keys()
    assert found["counts"]["params"] > 0
    assert found["measurements"]["throughput_images_per_s"] > 0
    assert found["measurements"]["training_memory_batch_size"] == 2
    assert found["measurements"]["training_step_ms"] > 0
    assert found["device"]["threads"] == 1
    assert found["versions"].keys() >= {"python", "torch", "fvcore"}
    assert found["started_utc"].endswith("+00:00")
    assert found["seconds"] > 0
    assert isinstance(found["measurements"]["other_load"], bool)
    assert found["setting"] == "eager, fp32, trained in fp32"
    assert found["occupancy_before"].keys() == found["occupancy_after"].keys()
    assert found["occupancy_before"].keys() >= {"clock_hz", "temperature_celsius", "reasons"}
    assert found["counts"]["by_module"][""] == pytest.approx(found["counts"]["gflops"] * 1e9)


@pytest.mark.slow
def test_the_setting_of_the_request_is_measured(monkeypatch, capsys):
    found = answer(monkeypatch, capsys, precision="bf16", training_precision="tf32")
    assert found["setting"] == "eager, bf16, trained in tf32"
    assert found["measurements"]["latency_ms"] > 0
    assert "no tf32" in found["measurements"]["reasons"]["training_peak_memory_bytes"]


def test_nothing_is_measured_that_was_not_asked_for(monkeypatch, capsys):
    found = answer(monkeypatch, capsys, metrics=["latency_ms"])
    measured, counted = found["measurements"], found["counts"]
    assert measured["latency_ms"] > 0
    for name in EFFICIENCY.keys() - {"latency_ms", "latency_p90_ms", "latency_p99_ms"}:
        group = measured if name in measured else counted
        assert group.get(name) is None, name
        assert name in group["reasons"], name
    assert measured["reasons"]["training_peak_memory_bytes"] == "it was not asked for"
    assert counted["reasons"]["gflops"] == "it was not asked for"


def test_an_unknown_setting_is_an_error_with_its_reason(monkeypatch, capsys):
    found = answer(monkeypatch, capsys, mode="compiled")
    assert found.keys() == {"error"}
    assert "mode is 'compiled'" in found["error"]


def test_a_model_that_cannot_be_built_is_an_error_with_its_reason(monkeypatch, capsys):
    found = answer(monkeypatch, capsys, params=MODEL | {"patch": 9})
    assert found.keys() == {"error"}
    assert "patch=9" in found["error"]
    assert "Traceback" not in found["error"]


@pytest.mark.slow
def test_a_model_that_prints_does_not_disturb_the_answer(monkeypatch, capsys):
    build = command.models.build

    def talkative(*args, **kwargs):
        sys.stdout.write("hello\n")
        return build(*args, **kwargs)

    monkeypatch.setattr(command.models, "build", talkative)
    assert answer(monkeypatch, capsys)["counts"]["params"] > 0


def test_work_of_other_processes_is_flagged(monkeypatch, capsys):
    monkeypatch.setattr(occupancy, "_busy_s", lambda: 64 * time.perf_counter())
    found = answer(monkeypatch, capsys)["measurements"]
    assert found["other_busy_cores"] > 32
    assert found["other_load"] is True


def test_no_other_work_is_not_flagged(monkeypatch, capsys):
    monkeypatch.setattr(occupancy, "_busy_s", occupancy._own_s)
    found = answer(monkeypatch, capsys)["measurements"]
    assert (found["other_busy_cores"], found["other_load"]) == (pytest.approx(0, abs=0.1), False)


@pytest.mark.parametrize(
    ("device", "given", "seconds", "timeout_s"),
    [
        ("cpu", {}, 2, 602),
        ("cuda", {}, 60, 1860),
        ("cuda:1", {"seconds": 500}, 500, 2300),
        ("cuda", {"seconds": 1, "timeout_s": 5}, 1, 5),
    ],
)
def test_times_that_are_not_given_are_those_of_the_device(
    monkeypatch, device, given, seconds, timeout_s
):
    asked = []

    def run(request, _environment, timeout_s):
        asked.append((json.loads(request)["seconds"], timeout_s))
        return subprocess.CompletedProcess([], 0, "{}", "")

    monkeypatch.setattr(fresh, "_asked", run)
    assert measure_fresh("vit", MODEL, **SIZES, device=device, **given) == {}
    assert asked == [(seconds, timeout_s)]
    if "seconds" not in given:
        assert fresh.default_seconds(device) == seconds


def test_a_process_that_takes_too_long_is_an_error(monkeypatch):
    monkeypatch.setattr(fresh, "_COMMAND", (sys.executable, "-c", "import time; time.sleep(60)"))
    found = measure_fresh("vit", MODEL, **SIZES, timeout_s=0.2)
    assert found == {"error": "measuring took longer than 0.2 s"}


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_a_process_that_is_killed_is_an_error(monkeypatch):
    found = child(monkeypatch, "import os; os.kill(os.getpid(), 9)")
    assert found == {"error": "the measuring process was ended by SIGKILL"}


def test_a_process_that_fails_gives_its_last_words(monkeypatch):
    found = child(monkeypatch, "import sys; sys.exit('noise\\nno room')")
    assert found == {"error": "the measuring process ended with exit code 1: no room"}


def test_the_request_and_the_environment_reach_the_process(monkeypatch):
    monkeypatch.setenv("KEPT", "yes")
    source = (
        "import json, os, sys; request = json.load(sys.stdin);"
        "request |= {key: os.environ[key] for key in ('KEPT', 'OMP_NUM_THREADS')};"
        "print('chatter'); print(json.dumps(request))"
    )
    monkeypatch.setattr(fresh, "_COMMAND", (sys.executable, "-c", source))
    settings = {"precision": "bf16", "training_precision": "fp16", "mode": "compile"}
    found = measure_fresh("vit", MODEL, **SIZES, threads=1, timeout_s=30, **settings)
    assert settings.items() <= found.items()
    assert (found["params"], found["OMP_NUM_THREADS"], found["KEPT"]) == (MODEL, "1", "yes")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the limit is Linux's")
def test_what_does_not_fit_into_memory_is_a_reason():
    found = measure_fresh(
        "vit", MODEL, image_size=224, num_classes=3, training_batch_size=10**6, seconds=0.1
    )
    assert found["measurements"]["training_peak_memory_bytes"] is None
    assert "out of memory" in found["measurements"]["reasons"]["training_peak_memory_bytes"]
    assert found["measurements"]["throughput_images_per_s"] > 0


@pytest.mark.parametrize("way", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_process_that_is_told_to_end_is_no_answer(monkeypatch, way):
    source = f"import os, signal; s = signal.{way}; signal.signal(s, signal.SIG_DFL); "
    with pytest.raises(KeyboardInterrupt):
        child(monkeypatch, source + "os.kill(os.getpid(), s)")


def test_it_is_in_a_session_of_its_own(monkeypatch):
    source = "import json, os; print(json.dumps({'leads': os.getsid(0) == os.getpid()}))"
    assert child(monkeypatch, source) == {"leads": True}


@pytest.mark.slow
def test_an_interruption_here_ends_the_process(monkeypatch, tmp_path):
    file = tmp_path / "pid"
    source = f"import os, time; open({str(file)!r}, 'w').write(str(os.getpid())); time.sleep(60)"

    def interrupt(_signum, _frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.alarm(3)
    try:
        with pytest.raises(KeyboardInterrupt):
            child(monkeypatch, source)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    if file.exists():
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)
