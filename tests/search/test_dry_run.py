"""What a sweep would take, told without making anything."""

import random
from dataclasses import replace

import pytest

from search import dry_run, forecast, run, sampled
from search.costs import counts
from search.footprint import Footprint, footprint
from search.forecast import Range
from search.record import State
from trainables import records
from trainables.home import Home

SMALL = ["grid=7", "depth=4", "dim=64", "heads=2", "shared_kv=true", "k_dim=16", "batch_size=64"]


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch, tmp_path):
    def refuse(*given):
        raise AssertionError(f"something was made ({given})")

    monkeypatch.setattr("search.cluster.connected", refuse)
    monkeypatch.setattr("search.run.perform", refuse)
    monkeypatch.setattr(Home, "prepare", refuse)
    monkeypatch.setattr("search.cluster._HEAD_ADDRESS", tmp_path / "no-head")
    monkeypatch.setenv("SEARCH_CACHE", str(tmp_path / "cache"))


def said(capsys, *arguments):
    code = run.main(["linformer", "--dry-run", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_everything_is_told_and_nothing_is_made(tmp_path, capsys):
    home = tmp_path / "home"
    code, told, _ = said(capsys, "--home", home, "--set", *SMALL, "--lanes", 1)
    assert code == 0
    lines = told.splitlines()
    assert lines[0] == (
        "dry run of sweep linformer-digits-56px: linformer on digits; nothing is made"
    )
    for part in (
        "space: 6 searched parameters, infinitely many configurations",
        "  lr: 1e-05 to 0.003",
        "constant: dropout=0.1 grid=7",
        "rules: grid divides image_size; heads divides dim",
        "  kept by 2000 of 2000 random draws, 100 % (95 % interval 99.8 to 100 %)",
        "limits: at most 0.08 GFLOPs",
        "of what keeps the rules, kept by 60 of 60 random draws",
        "published points: 26, of which 26 lie in the space; up to 2",
        "objectives: valid_top1 (max)",
        "budget: 10 trials of at most 6 epochs at 56 px, sampler freeze-thaw",
        "lanes: 1 on this machine",
        "  each of 1 worker(s) with 1 CPUs and 0 GPUs",
        "no trial of linformer in this home, so a rule of thumb",
        "GPU hours: none",
        "memory: ",
        "counted from the operators of one forward pass, not measured",
        "disk: ",
        f"  trials: {home}/linformer-digits-56px/trials",
        f"  MLflow: sqlite:///{home}/mlflow.db",
        f"  data: {home}/data/digits, not made yet",
        f"  decoded images: {tmp_path}/cache, 16.12 MiB",
    ):
        assert part in told, part
    assert list(tmp_path.iterdir()) == []


def test_a_bad_request_is_refused_as_ever(tmp_path, capsys):
    code, _, error = said(capsys, "--home", tmp_path / "home", "--trials", 0, "--set", "dpeth=1")
    assert code == 2
    assert "--trials must be" in error
    assert "did you mean 'depth'" in error


def test_what_does_not_fit_the_machine_is_refused_as_ever(tmp_path, capsys):
    code, _, error = said(capsys, "--home", tmp_path / "home", "--lanes", 1000)
    assert code == 5
    assert "do not fit" in error


def test_a_sweep_that_exists(tmp_path, capsys, tiny_data, write_trial):
    home, options = tmp_path / "home", ["--data", tiny_data, "--name", "s", "--set", *SMALL]
    asked = run.parse(["linformer", "--home", str(home), *map(str, options)])
    asked.folder.path.mkdir(parents=True)
    asked.plan(run.check(asked.data, home)).save(asked.folder.plan)
    write_trial(asked.folder.trial("00000-abc").path, [0.5], State.COMPLETE)
    before = sorted(home.rglob("*"))
    code, told, _ = said(capsys, "--home", home, *options)
    assert code == 0
    assert "the sweep exists: 1 trials of it are begun" in told
    assert f"  data: {tiny_data}\n" in told
    code, _, error = said(capsys, "--home", home, *options, "--epochs", 3)
    assert code == 2
    assert "sweep 's' exists and differs: epochs: was 6, now 3" in error
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize(
    ("are", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_intervals_of_shares(are, of, low, high):
    """As published for Wilson's interval, with 1.96."""
    assert sampled.Share(are, of).interval() == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"trials": 8, "epochs": 27, "pruner": "none"}, Range(216, 216, 216)),
        ({"trials": 8, "epochs": 27, "sampler": "freeze-thaw", "pruner": None}, None),
        ({"trials": 8, "epochs": 27, "sampler": "published", "pruner": None}, Range(216, 216, 216)),
        ({"trials": 8, "epochs": 27, "pruner": "none", "total_epochs": 50}, Range(50, 50, 50)),
    ],
)
def test_epochs_of_a_sweep(make_plan, changes, expected):
    found = forecast.epochs(make_plan(**changes))
    if expected is None:  # each trial to its first pause, two thirds of them on, again of those
        expected = Range(24, 24 + 5 * 6 + 3 * 18, 216)
    assert found == expected


def test_epochs_without_a_number_of_trials_and_with_repeats(make_plan):
    assert forecast.epochs(make_plan(trials=None, hours=2.0)) is None
    assert forecast.epochs(make_plan(trials=None, total_epochs=40)) == Range(40, 40, 40)
    twice = make_plan(trials=8, epochs=27, repeats=2)
    assert forecast.epochs(twice) == Range(216 + 81, 216 + 81, 216 + 81)


@pytest.mark.slow
def test_hours_are_the_most_that_it_takes(tmp_path, capsys):
    home = tmp_path / "home"
    small = ["--home", home, "--set", *SMALL, "--lanes", 1]
    code, told, _ = said(capsys, *small, "--hours", 0.001, "--trials", 500)
    assert code == 0
    assert "  at most 0.001 h\n" in told
    assert "time: 0 min 04 s (0 min 04 s to 0 min 04 s) of training" in told
    code, told, _ = said(capsys, *small, "--hours", 2)
    assert code == 0
    assert "budget: as many trials of at most 6 epochs" in told
    assert "time: what the budget says" in told


def trained(home, plan, key, images_per_s, device="cpu", workers=1):
    """A trial's folder, as far as its speed is told by it."""
    folder = home.path / plan.sweep / "trials" / key
    folder.mkdir(parents=True)
    plan.save(home.path / plan.sweep / "plan.json")
    params = plan.searched.draw(random.Random(0)) | {"dim": 64, "heads": 2}
    flat = plan.flat(params)
    records.replace_json(folder / "config.json", flat)
    about = {"workers": {"count": workers, "device": device}}
    records.replace_json(folder / "provenance.json", about)
    lines = [{"epoch": n, "train_images_per_s": s} for n, s in enumerate(images_per_s, 1)]
    records.replace_lines(folder / "metrics.jsonl", lines)
    return counts(plan)(params).gflops


@pytest.mark.slow
def test_time_rests_on_earlier_trials_of_the_variant(tmp_path, make_plan):
    home, plan = Home(tmp_path), make_plan()
    gflops = trained(home, plan, "one", [100.0, 200.0, 300.0])
    trained(home, plan, "other", [1e6], device="cuda")
    trained(home, replace(plan, sweep="else", variant="vit"), "two", [1e6])
    found = forecast.speed(home, plan, "cpu", 2)
    assert found.rate.usual == pytest.approx(2 * 3 * gflops * 200, rel=1e-3), "but for classes"
    assert found.rate.low < found.rate.usual < found.rate.high
    assert found.basis == "1 earlier trial of linformer in this home"


def test_time_without_earlier_trials_rests_on_a_rule_of_thumb(tmp_path, make_plan):
    found = forecast.speed(Home(tmp_path / "nowhere"), make_plan(), "cpu", 1)
    assert found.rate == Range(2.0, 10.0, 50.0)
    assert "a rule of thumb" in found.basis
    assert "5 times more or less" in found.basis


def test_seconds_of_an_epoch():
    prints = [Footprint(gflops, 0, 0, 0) for gflops in (1.0, 3.0)]
    rows = {"train": 100, "valid": 50, "test": 9}
    found = forecast.seconds_per_epoch(prints, rows, Range(10.0, 20.0, 70.0))
    assert found == Range(10.0, 35.0, 70.0)


def test_the_footprint_of_a_configuration(make_plan):
    plan = make_plan()
    params = plan.searched.draw(random.Random(1)) | {"dim": 64, "heads": 2}
    found = footprint(plan, params, counts(plan))
    more = footprint(plan, params | {"batch_size": 2 * params["batch_size"]}, counts(plan))
    weights = 4 * counts(plan)(params).params_total
    assert (found.weights_bytes, found.commit_bytes) == (weights, 4 * weights)
    assert more.training_bytes - 4 * weights == pytest.approx(
        2 * (found.training_bytes - 4 * weights)
    )


@pytest.mark.slow
def test_a_space_without_a_configuration_within_the_limits(make_plan, tiny_data, tmp_path):
    plan = make_plan(limits={"gflops": 1e-9}, trials=2)
    found = sampled.sample(plan)
    assert found.limits.are == 0
    assert found.limits.of > 0
    assert found.footprints == []
    asked = run.parse(["linformer", "--home", str(tmp_path), "--data", str(tiny_data)])
    told = "\n".join(dry_run.told(asked, plan, run.check(str(tiny_data), tmp_path)))
    assert "time: unknown" in told
