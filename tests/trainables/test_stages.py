"""A trial of two stages: shared, resumed wherever it was killed, at another size, on other data."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainables.tiny_trial import ALONE, FLAT, assert_same, finish, log, told
from trainables import checkpoint, records, stages, trial_log
from trainables.config import TrialConfig
from trainables.data import describe
from trainables.data.parquet import batches, write_split
from trainables.lock import taken
from trainables.training.learner import Learner
from trainables.trial import Trial

pytestmark = pytest.mark.usefixtures("one_thread")
PATCHED = {key: value for key, value in FLAT.items() if key != "grid"} | {"patch": 4}
TWO = {"epochs": 2, "pretrain_epochs": 2, "pretrain_image_size": 8}


class Cut(BaseException):
    """Stands for the end of the process."""


def two_staged(data: Path, folder: Path, known: int = 0, **changes: Any) -> Trial:
    config = TrialConfig.from_flat(PATCHED | TWO | {"data": str(data)} | changes)
    return Trial(config, folder, ALONE, known, folder.parent / "stages")


def stage_of(folder: Path) -> Path:
    (found,) = [path for path in (folder.parent / "stages").iterdir() if path.is_dir()]
    return found


@pytest.fixture(scope="module")
def uncut(tmp_path_factory, tiny_data) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("uncut") / "trial"
    trial = two_staged(tiny_data, folder)
    return {"lines": finish(trial), "folder": folder, "state": trial.learner.state()}


def test_the_second_stage_starts_from_the_resized_first(uncut, tiny_data):
    stage = stage_of(uncut["folder"])
    config = json.loads((stage / "config.json").read_text())
    assert (config["image_size"], config["epochs"], config["pretrain_epochs"]) == (8, 2, 0)
    assert len(log(stage)) == len(log(uncut["folder"])) == 2
    assert uncut["lines"][0]["notes"][0].startswith(f"started from stage {stage.name}, validation")
    best = checkpoint.load(stage / "best" / "weights")["model"]
    fresh = two_staged(tiny_data, uncut["folder"].parent / "other").learner.model.state_dict()
    assert best["position"].shape != fresh["position"].shape
    learner = Learner(TrialConfig.from_flat(PATCHED | TWO | {"data": str(tiny_data)}), ALONE)
    last = trial_log.read(stage / "metrics.jsonl")[-1]
    stages.begin(learner_config(tiny_data), learner, stage.parent, lambda *_: last)
    begun = learner.model.state_dict()
    assert torch.equal(begun["head.weight"], best["head.weight"])
    assert not torch.equal(begun["position"], fresh["position"])


def learner_config(data: Path) -> TrialConfig:
    return TrialConfig.from_flat(PATCHED | TWO | {"data": str(data)})


CUTS = [(stage, epoch, part) for stage in (1, 2) for epoch in (1, 2) for part in ("train", "score")]


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "epoch", "part"), [*CUTS, (2, 0, "begin")])
def test_killed_anywhere_it_ends_bit_for_bit_the_same(
    uncut, tiny_data, folder, monkeypatch, stage, epoch, part
):
    """Inside the first stage, between the two, and inside the second."""
    original, count = getattr(Learner, part), [0]
    image_size = 8 if stage == 1 else 16

    def cut(self, *arguments):
        if self.task.image_size == image_size:
            count[0] += 1
            if count[0] >= epoch:
                raise Cut
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Learner, part, cut)
        with pytest.raises(Cut):
            finish(two_staged(tiny_data, folder))
    trial = two_staged(tiny_data, folder)
    lines = finish(trial)
    assert without_notes(told(lines)) == without_notes(told(uncut["lines"]))
    assert_same(trial.learner.state(), uncut["state"])
    ours, theirs = (checkpoint.load(f / "best" / "weights") for f in (folder, uncut["folder"]))
    assert_same(ours, theirs)


def without_notes(lines: list[dict]) -> list[dict]:
    return [{k: v for k, v in line.items() if k != "notes"} for line in lines]


def test_trials_that_differ_in_the_second_stage_share_the_first(uncut, tiny_data, tmp_path):
    for name, changes in {"one": {"lr": 1e-3}, "two": {"lr": 2e-3, "epochs": 1}}.items():
        finish(two_staged(tiny_data, tmp_path / name, **changes))
    opened = records.scan(stage_of(tmp_path / "one") / "attempts.jsonl").sound
    assert [line["event"] for line in opened] == ["open", "epoch", "epoch", "open"]
    assert stage_of(tmp_path / "one").name == stage_of(uncut["folder"]).name


@pytest.mark.parametrize(
    "change", [{"pretrain_lr": 1e-2}, {"pretrain_epochs": 1}, {"dim": 32}, {"seed": 1}]
)
def test_another_first_stage_has_another_name(tiny_data, change):
    flat = PATCHED | TWO | {"data": str(tiny_data)}
    keys = []
    for given in (flat, flat | change):
        stage = stages.first_stage(TrialConfig.from_flat(given))
        assert stage is not None
        keys.append(stages.key(stage, "data"))
    assert keys[0] != keys[1]
    assert stages.key(stage, "other data") != keys[1]


def test_a_first_stage_takes_the_recipes_values_for_pre_training(tiny_data):
    flat = PATCHED | TWO | {"data": str(tiny_data), "recipe": "deit3", "lr": 1e-4}
    stage = stages.first_stage(TrialConfig.from_flat({k: flat[k] for k in flat if k != "gamma"}))
    assert stage is not None
    assert (stage.recipe.lr, stage.recipe.warmup_share) == (3e-3, 5 / 90)


@pytest.fixture(scope="module")
def other_data(tmp_path_factory, tiny_data) -> Path:
    """The same images in two classes."""
    folder = tmp_path_factory.mktemp("other") / "two-classes"
    folder.mkdir()
    for split in ("train", "valid", "test"):
        rows, problems = [], []
        for batch in batches(tiny_data / f"{split}-00000-of-00001.parquet", problems):
            rows += [
                (image, str(i), int(label > 0))
                for i, (image, label) in enumerate(zip(batch.images, batch.labels, strict=True))
            ]
        write_split(folder, split, rows, ("red", "other"))
    describe(folder)
    return folder


def test_data_of_other_classes_get_a_fresh_classifier(tiny_data, other_data, tmp_path):
    trial = two_staged(tiny_data, tmp_path / "trial", pretrain_data=str(other_data))
    fresh = {name: value.clone() for name, value in trial.learner.model.state_dict().items()}
    begun: list[dict] = []
    original = trial.learner.begin
    trial.learner.begin = lambda weights: (begun.append(weights), original(weights))[1]
    assert finish(trial)[-1]["state"] == "complete"
    assert fresh.keys() - begun[0].keys() == {"head.weight", "head.bias"}


def test_a_first_stage_that_fails_ends_the_trial(tiny_data, tmp_path):
    trial = two_staged(tiny_data, tmp_path / "trial", pretrain_lr=1e30)
    (line,) = finish(trial)
    assert line["state"] == "failed"
    assert line["reason"].startswith("in its first stage: ")


def test_a_stage_held_by_another_is_waited_for(tmp_path, monkeypatch):
    turns: list[float] = []

    def sleep(seconds: float) -> None:
        turns.append(seconds)
        if len(turns) == 3:
            first.close()

    monkeypatch.setattr(stages.time, "sleep", sleep)
    path = tmp_path / "stage.lock"
    first = path.open("a")
    assert taken(first)
    with stages.held(path, ALONE):
        assert len(turns) == 3
