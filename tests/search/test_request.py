"""Bad requests: everything that is wrong is named at once, and nothing is started."""

import subprocess
import sys
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import spaces
from search import lock, run
from search.plan import FULL, QUICK
from search.request import parse
from search.sweep_folder import SweepFolder
from trainables.data import locate, open_dataset
from trainables.errors import BadRequestError


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch, tmp_path):
    def refuse(address):
        raise AssertionError(f"Ray was started ({address})")

    monkeypatch.setattr("search.cluster.connected", refuse)
    monkeypatch.setattr("search.cluster._HEAD_ADDRESS", tmp_path / "no-head")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def made(digits_home):
    """A home in which `digits` is made."""
    return digits_home


def request(made, *more):
    return parse(["linformer", "--home", str(made), *more])


def told(capsys, arguments):
    code = run.main(arguments)
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    return code, captured.err


def test_the_quick_budget_without_a_gpu(made):
    asked = request(made)
    assert asked.budget == QUICK
    assert asked.sweep == "linformer-digits-56px"


def test_the_full_budget(made):
    assert request(made, "--full").budget == FULL
    assert request(made, "--full").sweep == "linformer-digits-224px"


def test_given_numbers_win(made):
    dataset = locate("digits", made / "data")
    plan = request(made, "--trials", "7", "--epochs", "5", "--set", "depth=6").plan(dataset)
    assert (plan.trials, plan.epochs, plan.image_size) == (7, 5, QUICK.image_size)
    assert plan.settings == {"depth": 6}
    assert "depth" not in plan.searched.params


def test_an_earlier_plan_is_kept_on_resume(made, tmp_path):
    dataset = locate("digits", made / "data")
    plan = request(made, "--trials", "7", "--set", "depth=6").plan(dataset)
    (tmp_path / plan.sweep).mkdir()
    replace(plan, epochs=4).save(tmp_path / plan.sweep / "plan.json")
    again = parse(["linformer", "--home", str(tmp_path), "--resume"]).plan(dataset)
    assert again == replace(plan, epochs=4)
    more = parse(["linformer", "--home", str(tmp_path), "--resume", "--trials", "9"])
    assert more.plan(dataset).trials == 9


def test_all_mistakes_at_once(tmp_path):
    with pytest.raises(BadRequestError) as caught:
        parse(
            [
                *("linfomer", "--home", str(tmp_path), "--data", "digit", "--trials", "0"),
                *("--epochs", "many", "--seed", "-1", "--name", "../x", "--set", "lr"),
            ]
        )
    text = str(caught.value)
    for part in (
        "unknown variant 'linfomer'; did you mean 'linformer'?",
        "did you mean 'digits'",
        "--trials must be a whole number of at least 1, given '0'",
        "--epochs must be a whole number of at least 1, given 'many'",
        "--seed must be",
        "given '../x'",
        "'lr' is not name=value",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("more", "part"),
    [
        (["--set", "dpeth=6"], "--set dpeth: no such parameter; did you mean 'depth'?"),
        (["--set", "epochs=6"], "--set epochs: this has an option of its own"),
        (["--set", "lr=fast"], "lr must be float, given 'fast'"),
        (["--set", "depth=1.5"], "depth must be int, given 1.5"),
        (["--set", "patch=7", "grid=8"], "say the same"),
        (["--set", "heads=7", "dim=64"], "heads divides dim"),
        (["--set", "depth=99999999"], "depth must lie between 1 and 1000"),
        (["--image-size", "57"], "no configuration at 57 px keeps the rules"),
        (["--image-size", "57"], "image sizes that work: 56, 64, 96, 112, 128"),
        (["--resume"], "--resume: no sweep 'linformer-digits-56px'"),
        (["--name", "data"], "cannot be called 'data'"),
    ],
)
def test_one_mistake(tmp_path, capsys, more, part):
    code, text = told(capsys, ["linformer", "--home", str(tmp_path), *more])
    assert code == 2
    assert part in text


def test_a_changed_sweep_shows_the_difference(made, tmp_path, capsys):
    dataset = locate("digits", made / "data")
    plan = request(made, "--trials", "7").plan(dataset)
    (tmp_path / plan.sweep).mkdir()
    replace(plan, epochs=4, settings={"depth": 5}).save(tmp_path / plan.sweep / "plan.json")
    code, text = told(capsys, ["linformer", "--home", str(tmp_path), "--epochs", "9"])
    assert code == 2
    assert "epochs: was 4, now 9" in text
    assert "settings: was {'depth': 5}, now {}" in text


def test_a_sweep_in_use(made, capsys):
    with lock.held(SweepFolder(made / "linformer-digits-56px")):
        code, text = told(capsys, ["linformer", "--home", str(made)])
    assert code == 3
    assert "in use by" in text


def test_foreign_parquet(tmp_path, capsys):
    folder = tmp_path / "foreign"
    folder.mkdir()
    pq.write_table(pa.table({"x": [1]}), folder / "train-00000-of-00001.parquet")
    code, text = told(capsys, ["linformer", "--home", str(tmp_path / "h"), "--data", str(folder)])
    assert code == 4
    assert "image" in text
    assert "label" in text


def test_an_empty_and_a_missing_folder(tmp_path, capsys):
    for folder in (tmp_path / "empty", tmp_path / "missing"):
        if folder.name == "empty":
            folder.mkdir()
        home = str(tmp_path / "h")
        code, text = told(capsys, ["linformer", "--home", home, "--data", str(folder)])
        assert code == 4
        assert folder.name in text


def test_more_cpus_than_there_are(made, capsys):
    code, text = told(capsys, ["linformer", "--home", str(made), "--workers", "5000"])
    assert code == 5
    assert "5000 worker(s)" in text
    assert "--wait-for-resources" in text


def test_a_gpu_where_there_is_none(made, capsys):
    code, text = told(capsys, ["linformer", "--home", str(made), "--gpus-per-worker", "64"])
    assert code == 5
    assert "64 GPU" in text


def test_a_home_that_is_a_file(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, text = told(capsys, ["linformer", "--home", str(tmp_path / "file")])
    assert code == 6
    assert "cannot be written" in text


@pytest.mark.slow
def test_as_a_process(tmp_path):
    line = [sys.executable, "-m", "search.run", "linfomer", "--home", str(tmp_path)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "error: unknown variant 'linfomer'; did you mean 'linformer'? "
        f"(variants: {', '.join(spaces.names())})"
    ]
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_and_a_cluster_ask_for_the_full_budget(made, monkeypatch):
    assert request(made, "--address", "10.0.0.1:6379").budget == FULL
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert request(made).budget == FULL


def test_what_is_not_given_on_resume_is_as_it_was(tmp_path, tiny_data):
    """Also the data and the image size, which the sweep's own name need not tell."""
    mine = ["linformer", "--home", str(tmp_path), "--name", "mine"]
    special = ["--data", str(tiny_data), "--image-size", "60", "--set", "grid=10"]
    plan = parse([*mine, *special]).plan(open_dataset(tiny_data))
    (tmp_path / "mine").mkdir()
    plan.save(tmp_path / "mine" / "plan.json")
    for more in ([], ["--set", "grid=10"]):
        again = parse([*mine, "--resume", *more])
        assert again.data == str(tiny_data)
        assert again.plan(open_dataset(tiny_data)) == plan


def test_resume_lists_what_there_is(tmp_path, capsys):
    for name in ("linformer-digits-112px", "mine"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "plan.json").write_text("{}")
    code, text = told(capsys, ["linformer", "--home", str(tmp_path), "--resume"])
    assert code == 2
    assert "did you mean 'linformer-digits-112px'?" in text
    assert "(sweeps there: linformer-digits-112px, mine)" in text


def test_a_plan_that_cannot_be_read(tmp_path, capsys):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "plan.json").write_text('{"sweep": ')
    code, text = told(capsys, ["linformer", "--home", str(tmp_path), "--name", "mine"])
    assert code == 2
    assert "plan.json cannot be read" in text


def test_bad_data_and_a_bad_request_are_told_together(tmp_path, capsys):
    arguments = ["linformer", "--home", str(tmp_path), "--data", str(tmp_path / "nowhere")]
    code, text = told(capsys, [*arguments, "--trials", "0", "--set", "depht=3"])
    assert code == 2
    for part in ("nowhere", "--trials must be", "did you mean 'depth'?"):
        assert part in text


def test_settings_are_values_of_their_type(made):
    asked = request(made, "--set", "shared_kv=true", "depth=6", "lr=3e-4", "class_weights=inverse")
    assert asked.settings == {
        "shared_kv": True,
        "depth": 6,
        "lr": 3e-4,
        "class_weights": "inverse",
    }


@pytest.mark.parametrize("number", ["nan", "inf", "1e99", "0x10", "", "-1", "2.0"])
def test_numbers_that_are_none(tmp_path, capsys, number):
    code, text = told(capsys, ["linformer", "--home", str(tmp_path), f"--trials={number}"])
    assert code == 2
    assert f"given {number!r}" in text


def test_a_sweep_in_use_by_another_process(made, capsys, hold_lock):
    owner = hold_lock(made / "linformer-digits-56px")
    code, text = told(capsys, ["linformer", "--home", str(made), "--resume", "--name", "other"])
    assert code == 2, "another sweep is another matter"
    code, text = told(capsys, ["linformer", "--home", str(made)])
    assert code == 3
    assert f'"pid": {owner.pid}' in text
