"""`python -m trainables`: what it prints, what it refuses, its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.trainables.tiny_trial import log
from trainables.__main__ import main
from trainables.training.learner import Learner

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = ["image_size=16", "epochs=2", "grid=4", "depth=1", "dim=16", "heads=2", "batch_size=16"]


@pytest.fixture
def run(tiny_data, folder, capsys):
    """Call the command; its exit code, the lines it printed, and its complaint."""

    def call(model: str, *settings: str, data: Path | str = tiny_data):
        options = ["--data", str(data), "--data-home", str(folder.parent / "data")]
        options += ["--directory", str(folder)] + ["--set"] * bool(settings)
        code = main([model, *options, *settings])
        out, err = capsys.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return call


def test_done(run, folder):
    code, lines, err = run("vit", *SMALL)
    assert (code, err) == (0, "")
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[-1]["state"] == "complete"
    assert lines == log(folder)


def test_called_again_it_tells_the_same(run):
    first = run("linformer", *SMALL, "k_dim=8")
    assert run("linformer", *SMALL, "k_dim=8") == first


def test_a_failed_trial_is_1_now_and_later(run):
    for _ in range(2):
        code, lines, _ = run("vit", *SMALL, "lr=1e30")
        assert code == 1
        assert [line["state"] for line in lines] == ["failed"]


def test_an_interrupted_trial_goes_on(run, folder, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Learner, "score", stop)
        with pytest.raises(KeyboardInterrupt):
            run("vit", *SMALL)
    assert run("vit", *SMALL)[0] == 0
    assert [line["epoch"] for line in log(folder)] == [1, 2]


def test_all_mistakes_are_told_at_once(run, folder):
    wrong = ["lr=fast", "dpeth=3", "batch_sise=8", "image_size=0.5", "grid=4", "dim=wide"]
    code, lines, err = run("linformer", *wrong)
    assert (code, lines) == (2, [])
    for message in (
        "lr must be float, given 'fast'",
        "has no 'dpeth'; did you mean 'depth'?",
        "has no 'batch_sise'; did you mean 'batch_size'?",
        "image_size must be int, given 0.5",
        "dim must be int, given 'wide'",
        "needs heads",
        "needs depth",
    ):
        assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert not folder.exists()


def test_all_wrong_values_are_told_at_once(run, folder):
    wrong = ["lr=-1", "gamma=2", "step_size=0", "batch_size=0", "epochs=0", "patience=0", "seed=-1"]
    code, _, err = run("vit", "grid=4", "depth=1", "dim=8", "heads=2", "class_weights=odd", *wrong)
    assert code == 2
    for name in ("lr", "gamma", "step_size", "batch_size", "epochs", "patience", "seed"):
        assert f"{name} must " in err
    assert "class_weights must be one of uniform, inverse, given 'odd'" in err
    assert not folder.exists()


def test_sizes_that_do_not_fit_are_told_at_once(run):
    code, _, err = run("vit", "image_size=16", "grid=5", "depth=0", "dim=0", "heads=2")
    assert code == 2
    for message in ("grid=5 must divide the image's 16 px", "depth must ", "dim must "):
        assert message in err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["depth"], "'depth' is not name=value"),
        (["depth=1", "depth=2"], "depth is given twice"),
        (["lr=nan"], "lr must be a finite number above 0, given nan"),
    ],
)
def test_settings_that_cannot_be_read(run, settings, message):
    code, _, err = run("vit", *settings)
    assert code == 2
    assert message in err


def test_an_unknown_model_is_told_the_nearest(run):
    code, _, err = run("linformr", *SMALL, "lr=fast")
    assert code == 2
    assert "unknown model 'linformr'; did you mean 'linformer'?" in err
    assert "lr must be float" in err


def test_an_unknown_data_set_is_told_the_nearest(run):
    code, _, err = run("vit", *SMALL, data="digit")
    assert code == 2
    assert "unknown data set 'digit' (did you mean 'digits'?)" in err


def test_bad_data_is_4(run, tmp_path, folder):
    code, lines, err = run("vit", *SMALL, data=tmp_path)
    assert (code, lines) == (4, [])
    assert "no Parquet file" in err
    assert not folder.exists()


def test_a_directory_that_cannot_be_written_is_6(run, folder):
    folder.write_text("in the way")
    code, _, err = run("vit", *SMALL)
    assert code == 6
    assert str(folder) in err


def test_another_trial_in_the_directory_is_refused_with_the_difference(run, folder):
    run("vit", *SMALL)
    before = log(folder)
    code, _, err = run("vit", *SMALL, "lr=0.1", "dropout=0.2")
    assert code == 2
    assert "dropout: was None, now 0.2; lr: was 0.0003, now 0.1" in err
    assert log(folder) == before


@pytest.mark.slow
def test_the_earlier_name_of_the_command_goes_on_working():
    command = [sys.executable, "-m", "trainables.trial", "vitt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "unknown model 'vitt'" in done.stderr


@pytest.mark.slow
def test_under_torchrun(tiny_data, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = [*torchrun, "--nproc-per-node", "2", "-m", "trainables", "vit"]
    options = ["--data", tiny_data, "--directory", tmp_path / "trial", "--set", *SMALL]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == log(tmp_path / "trial")
    facts = json.loads((tmp_path / "trial" / "provenance.json").read_text())
    assert facts["workers"]["count"] == 2
