"""A trial learns, says what it did, and ends with a result whatever happens."""

import json
from dataclasses import replace

import pytest
import torch

from tests.trainables.tiny_trial import ALONE, FLAT, assert_same, epoch, finish, log, opened, told
from trainables import checkpoint, records
from trainables.config import TrialConfig
from trainables.metrics import EPOCH, FINAL
from trainables.training import learner
from trainables.training.learner import Learner

EVERY_EPOCH = EPOCH.keys() - {"train_auxiliary_loss"}  # which only some models have
pytestmark = pytest.mark.usefixtures("one_thread")
SHORT = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nand much advice")


def test_a_trial_learns(flat, folder):
    lines = finish(opened(flat | {"epochs": 8, "gamma": 1.0}, folder))
    losses = [line["train_loss"] for line in lines]
    assert losses[-1] < 0.8 * losses[0]
    assert lines[-1]["best_valid_top1"] > 0.8


def test_what_a_trial_leaves_behind(whole, tiny_data):
    folder, lines = whole["folder"], whole["lines"]
    assert {path.name for path in folder.iterdir()} == {
        "attempts.jsonl",
        "best",
        "config.json",
        "confusion.json",
        "metrics.jsonl",
        "provenance.json",
    }
    assert log(folder) == lines
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert [line["lr"] for line in lines] == [3e-3, 3e-3, 1.5e-3, 1.5e-3]
    config = json.loads((folder / "config.json").read_text())
    assert TrialConfig.from_flat(config) == TrialConfig.from_flat(FLAT | {"data": str(tiny_data)})
    facts = json.loads((folder / "provenance.json").read_text())
    assert facts["data"]["name"] == "tiny"
    assert facts["workers"] == {"count": 1, "device": "cpu"}
    assert facts["versions"]["torch"]
    events = [(e["event"], e["epoch"]) for e in records.scan(folder / "attempts.jsonl").sound]
    assert events == [("open", 0), ("epoch", 1), ("epoch", 2), ("epoch", 3), ("epoch", 4)]


def test_every_line_has_the_epoch_metrics_and_the_last_the_final_ones(whole):
    *lines, last = whole["lines"]
    for line in lines:
        assert line.keys() == EVERY_EPOCH | {"epoch", "done", "ended_unix_s"}
        assert line["done"] is False
    assert last.keys() == {*EVERY_EPOCH, *FINAL, "epoch", "done", "ended_unix_s", "state", "files"}
    assert (last["done"], last["state"]) == (True, "complete")


def switched(flat, folder, lr: float, weight: float) -> list[dict]:
    """The lines of two epochs of Switch with its balancing loss counted `weight` times."""
    changes = {"model": "switch", "experts": 4, "balance_weight": weight, "dropout": 0.0, "lr": lr}
    return told(finish(opened(flat | changes | {"epochs": 2}, folder / f"{lr}-{weight}")))


def test_auxiliary_losses_are_told_apart(flat, folder):
    small, large = (switched(flat, folder, 1e-12, weight) for weight in (1e-9, 3.0))
    for one, two in zip(small, large, strict=True):  # nothing is learned at this learning rate
        assert 3.0 <= two.pop("train_auxiliary_loss") <= 12.0
        assert 0 < one.pop("train_auxiliary_loss") < 1e-8
        assert one.pop("state", "") == two.pop("state", "")
        assert one == pytest.approx(two, rel=1e-6)


def test_auxiliary_losses_are_learned_from(flat, folder):
    balances = [switched(flat, folder, 3e-3, weight)[1] for weight in (1e-9, 3.0)]
    of_small, of_large = (line["train_auxiliary_loss"] for line in balances)
    assert of_large / 3.0 < of_small / 1e-9


def test_a_model_is_told_how_far_its_training_is(flat, folder, monkeypatch):
    told_progress = []
    monkeypatch.setattr(learner, "set_progress", lambda _, share: told_progress.append(share))
    finish(opened(flat | {"epochs": 2, "batch_size": 20}, folder))
    # three batches an epoch, and its end
    assert told_progress == pytest.approx([0, 1 / 6, 2 / 6, 1 / 2, 1 / 2, 4 / 6, 5 / 6, 1])


def test_final_metrics_are_those_of_the_best_epoch(whole, flat):
    lines = whole["lines"]
    rates = [line["valid_top1"] for line in lines]
    assert lines[-1]["best_valid_top1"] == max(rates)
    assert lines[-1]["best_epoch"] == rates.index(max(rates)) + 1
    best = checkpoint.load(whole["folder"] / "best" / "weights")
    assert (best["epoch"], best["valid_top1"]) == (lines[-1]["best_epoch"], max(rates))
    assert_same(best["model"], dict(whole["states"][best["epoch"]]["model"]))
    learner = Learner(TrialConfig.from_flat(flat), ALONE)
    learner.model.load_state_dict(best["model"])
    tested = learner.score("test").metrics("test")
    assert tested == {name: lines[-1][name] for name in tested}


def test_confusion_matrices_count_every_image_once(whole):
    confusion = json.loads((whole["folder"] / "confusion.json").read_text())
    assert confusion["classes"] == ["red", "green", "blue"]
    assert [sum(row) for row in confusion["valid"]] == [6, 6, 6]
    assert [sum(row) for row in confusion["test"]] == [7, 5, 3]
    right = sum(confusion["test"][i][i] for i in range(3))
    assert whole["lines"][-1]["test_top1"] == pytest.approx(right / 15)


def test_inverse_class_weights(flat):
    weights = Learner(TrialConfig.from_flat(flat), ALONE).weights
    torch.testing.assert_close(weights * torch.tensor([20, 14, 9]), (weights * 9)[2].expand(3))
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))
    uniform = TrialConfig.from_flat(flat | {"class_weights": "uniform"})
    torch.testing.assert_close(Learner(uniform, ALONE).weights, torch.ones(3))


def test_divergence_is_a_result(flat, folder):
    trial = opened(flat | {"lr": 1e30}, folder)
    line = epoch(trial)
    assert (line["epoch"], line["done"], line["state"]) == (1, True, "failed")
    assert line["reason"] == "train_loss is nan in epoch 1 at lr 1e+30"
    assert log(folder) == [line]
    assert line.keys() == {"epoch", "done", "state", "reason", "ended_unix_s", "files"}
    assert not list(folder.rglob("*.pt"))
    assert not (folder / "confusion.json").exists()
    assert finish(opened(flat | {"lr": 1e30}, folder)) == [line]


def test_divergence_in_a_later_epoch_keeps_the_earlier_lines(whole, flat, folder, monkeypatch):
    trial = opened(flat, folder)
    trial.epoch()
    score = Learner.score

    def poisoned(self, split):
        found = score(self, split)
        return replace(found, sums=found.sums + torch.tensor([torch.inf, 0, 0]))

    monkeypatch.setattr(Learner, "score", poisoned)
    line = epoch(trial)
    assert line["state"] == "failed"
    assert line["reason"] == "valid_loss is inf in epoch 2 at lr 0.003"
    assert told(log(folder)) == told([whole["lines"][0], line])


@pytest.mark.parametrize("number", [1, 2])
def test_too_little_memory_is_a_result(flat, folder, number):
    trial = opened(flat, folder)
    for _ in range(number - 1):
        trial.epoch()

    def fail(*_):
        raise SHORT

    trial.learner.model.register_forward_hook(fail)
    line = epoch(trial)
    assert (line["epoch"], line["done"], line["state"]) == (number, True, "infeasible")
    reason = f"out of memory in epoch {number}: CUDA out of memory. Tried to allocate 2 GiB."
    assert line["reason"] == reason
    assert log(folder)[-1] == line
    assert finish(opened(flat, folder, number - 1)) == [line]


def test_patience_ends_a_trial(flat, folder):
    lines = finish(opened(flat | {"lr": 1e-12, "patience": 2, "epochs": 9}, folder))
    assert [line["epoch"] for line in lines] == [1, 2, 3]
    assert (lines[-1]["state"], lines[-1]["best_epoch"]) == ("complete", 1)
    assert lines[-1].keys() >= FINAL.keys()


def test_patience_counts_on_after_a_stop(flat, folder):
    flat |= {"lr": 1e-12, "patience": 3, "epochs": 9}
    for known in range(4):
        line = epoch(opened(flat, folder, known))
        assert line["done"] is (known == 3)


def test_seed_decides(whole, flat, folder, tmp_path):
    assert told([epoch(opened(flat, folder))]) == told(whole["lines"][:1])
    other = epoch(opened(flat | {"seed": 1}, tmp_path / "other"))
    assert other["train_loss"] != whole["lines"][0]["train_loss"]


def test_a_model_that_cannot_be_built_is_refused(flat, folder):
    with pytest.raises(ValueError, match="grid=5 must divide the image's 16 px"):
        opened(flat | {"grid": 5}, folder)
