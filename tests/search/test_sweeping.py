"""Sweeps from Python."""

import os
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest
import torch

import search
from search import sweeping
from trainables.errors import BadRequestError, Exit, ResourceError


@pytest.fixture
def performed(monkeypatch, tmp_path):
    """`search.run` does nothing and ends with `code`; what it was asked for is in `requests`."""
    monkeypatch.setattr("search.cluster._HEAD_ADDRESS", tmp_path / "no-head")
    requests, code = [], [Exit.DONE]

    def perform(request, console):
        requests.append((request, console))
        torch.set_num_threads(1)
        return code[0]

    monkeypatch.setattr("search.run.perform", perform)
    monkeypatch.setattr("search.result.read", lambda home, sweep, _: (home.path, sweep))
    return types.SimpleNamespace(requests=requests, code=code, home=tmp_path / "home")


def test_a_sweep_is_what_the_command_would_do(performed):
    found = search.sweep(
        "linformer",
        trials=7,
        settings={"depth": 6},
        home=performed.home,
        max_gflops=0.5,
        keep_weights=True,
        measure=False,
    )
    assert found == (performed.home, "linformer-digits-56px")
    ((request, console),) = performed.requests
    assert (request.variant, request.trials, request.settings) == ("linformer", 7, {"depth": 6})
    assert (request.keep_weights, request.measure, request.listeners) == (True, False, ())
    assert console.quiet, "nobody watches a test"
    assert not performed.home.exists()


def test_callbacks_are_listeners(performed):
    search.sweep("linformer", home=performed.home, on_trial=print, progress=True)
    ((request, console),) = performed.requests
    assert len(request.listeners) == 1
    assert not console.quiet


def test_torch_has_as_many_threads_as_before(performed):
    before = torch.get_num_threads()
    search.sweep("linformer", home=performed.home)
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("code", "error"),
    [(Exit.INTERRUPTED, KeyboardInterrupt), (Exit.BAD_REQUEST, BadRequestError)],
)
def test_what_ends_a_command_is_raised(performed, code, error):
    performed.code[0] = code
    with pytest.raises(error):
        search.sweep("linformer", home=performed.home)


def test_some_failed_trials_are_a_result(performed):
    performed.code[0] = Exit.FAILED
    assert search.sweep("linformer", home=performed.home)


def test_an_incomplete_mlflow_is_a_warning(performed):
    performed.code[0] = Exit.STORAGE
    with pytest.warns(UserWarning, match="search.verify --rebuild"):
        assert search.sweep("linformer", home=performed.home)


def test_a_resumed_sweep_keeps_what_it_was(performed, trained_sweep):
    search.resume("small", home=trained_sweep.home, trials=9, data="digits")
    ((request, _),) = performed.requests
    assert (request.variant, request.sweep, request.trials) == ("linformer", "small", 9)
    assert request.earlier == trained_sweep.plan
    assert request.settings == trained_sweep.plan.settings


def test_an_unknown_sweep_cannot_be_resumed(tmp_path, trained_sweep):
    with pytest.raises(BadRequestError, match=r"no sweep 'smal'.*did you mean 'small'"):
        search.resume("smal", home=trained_sweep.home)
    with pytest.raises(BadRequestError, match="there is none yet"):
        search.resume("small", home=tmp_path / "elsewhere")


def test_mistakes_are_raised_at_once_and_nothing_is_made(performed):
    with pytest.raises(BadRequestError) as caught:
        search.sweep("linfomer", trials=0, home=performed.home, data="digit")
    assert len(caught.value.mistakes) == 3
    with pytest.raises(BadRequestError, match="no option for --colour"):
        search.sweep("linformer", home=performed.home, colour="red")
    assert not performed.requests
    assert not performed.home.exists()


def test_only_the_main_thread_drives_a_sweep(performed):
    errors = []

    def drive():
        try:
            search.sweep("linformer", home=performed.home)
        except ResourceError as error:
            errors.append(error)

    thread = threading.Thread(target=drive)
    thread.start()
    thread.join()
    assert "main thread" in str(errors[0])


def test_a_ray_of_the_callers_own_is_left_alone(performed, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(is_initialized=lambda: True))
    with pytest.raises(ResourceError, match=r"ray\.shutdown"):
        search.sweep("linformer", home=performed.home)


def test_the_signature_names_the_usual_options_and_is_typed():
    hints = sweeping.sweep.__annotations__
    assert {"variant", "data", "objectives", "trials", "on_epoch", "return"} <= hints.keys()


SCRIPT = """
import sys
import search

SMALL = {"grid": 7, "depth": 4, "dim": 64, "heads": 2, "shared_kv": True, "batch_size": 64}
heard = []

def fail(trial, epoch, metrics):
    raise RuntimeError(f"enough after epoch {epoch}")

if __name__ == "__main__":
    home = sys.argv[1]
    try:
        search.sweep("linformer", name="s", home=home, trials=2, epochs=2, image_size=56, lanes=1,
                     measure=False, settings=SMALL, on_epoch=fail)
    except RuntimeError as error:
        print(error)
    found = search.resume("s", home=home, measure=False, lanes=1,
                          on_epoch=lambda trial, epoch, _: heard.append((trial.number, epoch)),
                          on_trial=lambda trial: print(trial.number, trial.state))
    print(sorted(heard), len(found.trials), found.best.key in {t.key for t in found.front})
    print(type(found.load_model()).__module__, found.table.num_rows)
"""


@pytest.mark.ray
@pytest.mark.timeout(1800)
def test_a_callback_that_fails_ends_the_sweep_which_goes_on_later(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tmp_path / "home")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout.splitlines()
    assert told[0] == "enough after epoch 1"
    assert "0 complete" in told
    heard = told[-2]
    assert "(0, 1)" not in heard, "the first epoch was not lost, nor told again"
    assert "(0, 2)" in heard
    assert heard.endswith(" 2 True")
    assert told[-1].startswith("trainables.models")
    assert told[-1].endswith(" 2")
