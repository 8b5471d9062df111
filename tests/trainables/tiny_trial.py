"""A trial small enough to run in tests, and how tests run and compare trials."""

import json
from pathlib import Path
from typing import Any

import torch

from trainables.config import TrialConfig
from trainables.team import Team
from trainables.trial import Trial

EPOCHS = 4
FLAT = {
    "model": "vit",
    "image_size": 16,
    "epochs": EPOCHS,
    "grid": 4,
    "depth": 1,
    "dim": 16,
    "heads": 2,
    "dropout": 0.1,
    "lr": 3e-3,
    "step_size": 2,
    "gamma": 0.5,
    "batch_size": 8,
    "class_weights": "inverse",
}
ALONE = Team(0, 1, torch.device("cpu"))
CLOCKS = ("train_seconds", "valid_seconds", "train_images_per_s", "ended_unix_s")


def opened(flat: dict[str, Any], folder: Path, known_epoch: int = 0) -> Trial:
    torch.manual_seed(hash(str(folder)) % 2**31)  # what ran before in the process is of no account
    return Trial(TrialConfig.from_flat(flat), folder, ALONE, known_epoch)


Document = dict[str, Any]


def epoch(trial: Trial) -> Document:
    """The line of a trial's next epoch, as it is written."""
    return trial.epoch().document()


def finish(trial: Trial) -> list[Document]:
    lines = [epoch(trial)]
    while not lines[-1]["done"]:
        lines.append(epoch(trial))
    return lines


def told(lines: list[Document]) -> list[Document]:
    """What the lines say apart from the time of day and from notes on damage."""
    return [
        {k: v for k, v in line.items() if k not in (*CLOCKS, "notes", "files")} for line in lines
    ]


def log(folder: Path) -> list[Document]:
    """The lines of `metrics.jsonl`, read strictly; each has its digest, which is left out."""

    def refuse(constant: str):
        raise AssertionError(f"{constant} in {folder}")

    text = (folder / "metrics.jsonl").read_text()
    assert text.endswith("\n")
    lines = [json.loads(line, parse_constant=refuse) for line in text.splitlines()]
    assert all(line.pop("sha256") for line in lines)
    return lines


def assert_same(one: Any, two: Any, at: str = "") -> None:
    """Bit for bit the same, however deep."""
    assert type(one) is type(two), at
    if isinstance(one, dict):
        assert one.keys() == two.keys(), at
        for key in one:
            assert_same(one[key], two[key], f"{at}/{key}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, two), at
    else:
        assert one == two, at
