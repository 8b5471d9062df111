"""What a person sees of a sweep."""

import io
import os
import sys
import types
from importlib.machinery import ModuleSpec
from types import SimpleNamespace

import pytest
from rich.console import Console

from search.record import Record, State
from search.terminal import View, best, chatter_to, duration, parameters, reasons, short

PARAMS = {"depth": 6, "dim": 64, "heads": 2, "shared_kv": True, "lr": 0.000123456, "dropout": 0.1}


def record(number, state=State.RUNNING, **more):
    return Record(number=number, key=f"0000{number}-abc", params=PARAMS, state=state, **more)


def screen(terminal):
    return Console(
        record=True, width=200, file=io.StringIO(), force_terminal=terminal, color_system=None
    )


def printed(console):
    return console.export_text(clear=False)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 min 00 s"),
        (59.6, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 00 min"),
        (90061, "25 h 01 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_short_values():
    assert [short(v) for v in (0.000123456, 64, True, "inverse")] == [
        "0.000123",
        "64",
        "True",
        "inverse",
    ]


def test_only_searched_parameters_are_shown(make_plan):
    plan = make_plan(settings={"grid": 7, "dim": 64})
    assert parameters(record(1), plan) == "depth=6 shared_kv=True heads=2 lr=0.000123"


def test_without_a_terminal_there_is_a_line_for_each_finished_trial(make_plan):
    console = screen(terminal=False)
    view = View(console, make_plan(trials=3), [])
    with view.shown():
        trial = record(1)
        view.changed(trial)
        trial.epoch, trial.value = 2, 0.5
        view.changed(trial)
        assert printed(console) == ""
        trial.state, trial.value = State.COMPLETE, 0.75
        view.changed(trial)
        view.changed(record(2, State.FAILED, reason="boom"))
    lines = printed(console).splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("00001-abc complete after 2 epochs, validation accuracy 75.00 %")
    assert "1 of 3 trials: 1 done, 0 running, 0 paused, 0 stopped early, 0 failed" in lines[0]
    assert lines[1].startswith("00002-abc failed after 0 epochs, validation accuracy -")
    assert "2 of 3 trials: 1 done, 0 running, 0 paused, 0 stopped early, 1 failed" in lines[1]


def test_a_note_of_a_trial_is_shown_once(make_plan):
    console = screen(terminal=False)
    view = View(console, make_plan(), [])
    trial = record(1, metrics={"notes": ["checkpoint [x] was damaged"]})
    view.changed(trial)
    view.changed(trial)
    assert printed(console).splitlines() == ["note: checkpoint [x] was damaged"]
    assert trial.metrics["notes"], "who looks takes nothing away"
    trial.metrics = {"notes": ["checkpoint [y] was damaged"]}
    view.changed(trial)
    assert printed(console).splitlines()[1:] == ["note: checkpoint [y] was damaged"]


def test_the_view_shows_running_and_finished_trials(make_plan):
    console = screen(terminal=True)
    view = View(console, make_plan(trials=10, epochs=9), [record(0, State.STOPPED, epoch=1)])
    console.print(view)
    assert "small: linformer on tiny" in printed(console)
    assert "1 of 10 trials: 0 done, 0 running, 0 paused, 1 stopped early, 0 failed" in printed(
        console
    )

    view.changed(record(1, State.COMPLETE, epoch=9, value=0.875))
    view.changed(record(2, epoch=4, value=0.5))
    view.changed(record(3))
    view.changed(record(4, State.PAUSED, epoch=3, value=0.25))
    console.export_text()
    console.print(view)
    text = printed(console)
    assert "best 87.50 %: depth=6 dim=64 shared_kv=True heads=2 lr=0.000123" in text
    running = [line for line in text.splitlines() if "-abc" in line]
    assert len(running) == 2
    assert running[0].split()[:4] == ["00002-abc", "4/9", "50.00", "%"]
    assert running[1].split()[:3] == ["00003-abc", "0/9", "-"]
    assert "2 of 10 trials: 1 done, 2 running, 1 paused, 1 stopped early, 0 failed" in text
    assert "left" in text


def test_the_time_left_ends_with_the_hours_of_all_drivers(make_plan):
    clock = SimpleNamespace(left_seconds=120.0)
    console = screen(terminal=True)
    view = View(console, make_plan(trials=10**6, hours=9.0), [], clock)
    view.changed(record(1, epoch=1, value=0.5))
    console.print(view)
    assert "about 2 min" in printed(console)


def test_without_pauses_all_epochs_are_left(make_plan, monkeypatch):
    monkeypatch.setattr("search.terminal.time.monotonic", iter([0.0, *[100.0] * 9]).__next__)
    console = screen(terminal=True)
    view = View(console, make_plan(trials=10, epochs=10, pruner="none"), [])
    view.changed(record(1, epoch=10, value=0.5))
    console.print(view)
    assert "about 15 min 00 s left" in printed(console)


def test_before_the_first_epoch(make_plan):
    console = screen(terminal=True)
    view = View(console, make_plan(), [])
    console.print(view)
    assert "starting the workers" in printed(console)
    view.changed(record(1))
    console.print(view)
    assert "the first epoch is running" in printed(console)
    assert "left" not in printed(console)


def test_the_live_view_draws_and_goes(make_plan):
    console = screen(terminal=True)
    view = View(console, make_plan(), [])
    with view.shown():
        view.changed(record(1, State.COMPLETE, epoch=2, value=0.5))
    drawn = console.file.getvalue()
    assert "starting the workers" in drawn
    assert "complete after" not in drawn, "the plain line is for consoles without a terminal"


def test_the_best_trials_are_in_order(make_plan):
    plan = make_plan()
    trials = [
        record(i, State.COMPLETE, value=v) for i, v in enumerate((0.5, 0.9, 0.7, 0.6, 0.8, 0.4), 1)
    ]
    trials += [record(7, State.FAILED), record(8, State.DUPLICATE, value=0.99, accepted=False)]
    trials[1].metrics = {"test_top1": 0.85, "gflops": 0.01234}
    console = screen(terminal=False)
    console.print(best(trials, plan))
    heads, *rows = [line.split() for line in printed(console).splitlines()]
    assert heads == ["trial", "state", "valid", "test", "GFLOPs", "parameters"]
    assert [row[0] for row in rows] == [f"0000{i}-abc" for i in (2, 5, 3, 4, 1)]
    assert rows[0][1:7] == ["complete", "90.00", "%", "85.00", "%", "0.0123"]
    assert rows[1][4:6] == ["-", "-"]


def test_of_several_objectives_the_front_is_shown(make_plan):
    plan = make_plan(objectives=("valid_top1", "gflops"))
    costs = ((0.9, 0.3), (0.7, 0.1), (0.8, 0.4), (0.6, 0.05))
    trials = [
        record(i, State.COMPLETE, value=value, known={"gflops": gflops})
        for i, (value, gflops) in enumerate(costs, 1)
    ]
    console = screen(terminal=False)
    console.print(best(trials, plan))
    title, heads, *rows = [line.split() for line in printed(console).splitlines()]
    assert " ".join(title) == "the front: 3 trials that none beats in everything"
    assert heads == ["trial", "state", "valid_top1", "gflops", "test", "parameters"]
    assert [row[0] for row in rows] == [f"0000{i}-abc" for i in (1, 2, 4)]
    assert rows[0][2:6] == ["90.00", "%", "0.3", "G"]


def test_what_shall_be_small_is_ranked_so(make_plan):
    plan = make_plan(objectives=("valid_loss",))
    trials = [record(i, State.COMPLETE, value=v) for i, v in enumerate((0.5, 0.25, 0.75), 1)]
    console = screen(terminal=False)
    console.print(best(trials, plan))
    _, *rows = [line.split() for line in printed(console).splitlines()]
    assert [(row[0], row[2]) for row in rows] == [
        ("00002-abc", "0.25"),
        ("00001-abc", "0.5"),
        ("00003-abc", "0.75"),
    ]


def test_no_credential_of_chatter_is_in_the_log(tmp_path, capfd):
    with chatter_to(tmp_path / "log.txt"):
        os.write(1, b"retrying postgresql://me:c4n4ry@db/studies\n")
        os.write(2, b"at http://t0k3n@host:5000 \xff\n")
    written = (tmp_path / "log.txt").read_bytes()
    assert written == b"retrying postgresql://me:***@db/studies\nat http://***@host:5000 \xff\n"
    capfd.readouterr()


def test_chatter_goes_to_the_log(tmp_path, capfd):
    with chatter_to(tmp_path / "sweep" / "log.txt") as stream:
        os.system("echo chatter; echo complaint >&2")
        stream.write("for the user\n")
    os.write(1, b"afterwards\n")
    seen = capfd.readouterr()
    assert seen.out == "for the user\nafterwards\n"
    assert seen.err == ""
    assert (tmp_path / "sweep" / "log.txt").read_text() == "chatter\ncomplaint\n"


def test_output_is_restored_after_an_error(tmp_path, capfd):
    with pytest.raises(RuntimeError, match="inside"), chatter_to(tmp_path / "log.txt"):
        raise RuntimeError("inside")
    os.write(2, b"seen\n")
    assert capfd.readouterr().err == "seen\n"


def test_why_trials_failed_is_counted():
    diverged = [
        record(n, State.FAILED, reason=f"the training loss is nan in epoch {n} at lr 0.{n}")
        for n in (1, 2, 3)
    ]
    large = record(4, State.INFEASIBLE, reason="out of memory in epoch 1")
    silent = record(5, State.FAILED)
    fine = [record(6, State.COMPLETE), record(7, State.STOPPED)]
    refused = record(8, State.INFEASIBLE, reason="a rule", accepted=False)
    assert reasons([large, *diverged, silent, *fine, refused]) == [
        "3 failed, such as 00001-abc: the training loss is nan in epoch 1 at lr 0.1",
        "1 infeasible 00004-abc: out of memory in epoch 1",
        "1 failed 00005-abc: it left no reason",
    ]
    assert reasons(fine) == []


@pytest.mark.parametrize("terminal", [True, False])
def test_a_failed_trial_has_its_reason_at_once(make_plan, terminal):
    console = screen(terminal)
    view = View(console, make_plan(), [])
    view.changed(record(1, State.FAILED, reason="the loss is [nan]"))
    assert "the loss is [nan]" in printed(console)


@pytest.fixture
def notebook(monkeypatch):
    """What a notebook shows: rich looks for these two packages only."""
    shown = []

    class Output:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return False

        def clear_output(self, wait):
            pass

        def close(self):
            shown.append("closed")

    widgets = types.ModuleType("ipywidgets")
    widgets.__spec__ = ModuleSpec("ipywidgets", None)
    vars(widgets)["Output"] = Output
    display = types.SimpleNamespace(display=lambda *given: shown.extend(given))
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    monkeypatch.setitem(sys.modules, "ipywidgets", widgets)
    return shown


def test_a_notebook_has_the_live_view(notebook, make_plan):
    console = Console(force_jupyter=True)
    view = View(console, make_plan(), [])
    with view.shown():
        view.changed(record(0, epoch=1, value=0.5))
        view._live.refresh()
        view.changed(record(0, State.COMPLETE, epoch=3, value=0.75))
    assert len(notebook) > 1
    assert "closed" in notebook, "at the end the summary takes its place"
    assert "1 of 4 trials: 1 done" in view._progress()


def test_nothing_is_shown_where_nobody_watches(make_plan):
    console = Console(file=io.StringIO(), quiet=True)
    view = View(console, make_plan(), [])
    with view.shown():
        view.changed(record(0, State.COMPLETE, epoch=3, value=0.75))
    assert console.file.getvalue() == ""
