"""The first stage of a trial, pre-training: the stage of its task starts from the best weights.

A first stage is a trial of its own, in a folder named for everything that determines its result.
Trials that differ only in their second stage share it: the first one trains it, the others wait.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from trainables import checkpoint, models
from trainables.config import TrialConfig
from trainables.data import open_dataset
from trainables.lock import taken
from trainables.models.resize import resize
from trainables.recipe import Pretraining, Recipe
from trainables.team import Team
from trainables.training.learner import Learner
from trainables.trial_folder import TrialFolder
from trainables.trial_log import Line

_POLL_SECONDS = 1.0


def first_stage(config: TrialConfig) -> TrialConfig | None:
    """The first stage that `config` asks for, as a trial of its own, if it asks for one."""
    asked, task = config.pretraining, config.task
    if not asked.pretrain_epochs:
        return None
    own = {"lr": asked.pretrain_lr, "batch_size": asked.pretrain_batch_size}
    given = {name: value for name, value in own.items() if value is not None}
    recipe = Recipe.filled({"recipe": config.recipe.recipe, **given}, first_stage=True)
    before = replace(
        task,
        data=asked.pretrain_data or task.data,
        image_size=asked.pretrain_image_size or task.image_size,
        epochs=asked.pretrain_epochs,
        patience=asked.pretrain_epochs,
    )
    params = dict(config.params)
    if "grid" in params:  # patches keep their size in pixels
        params["patch"] = task.image_size // params.pop("grid")
    return TrialConfig(task=before, recipe=recipe, params=params, pretraining=Pretraining())


def key(stage: TrialConfig, fingerprint: str) -> str:
    """The name of a stage's result, from its configuration and the `fingerprint` of its data."""
    said = {**stage.flat(), "data": fingerprint}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def held(path: Path, team: Team) -> Iterator[None]:
    """Only this team is in the block at a time; others wait for it, trying again and again.

    So no worker waits inside a collective, which would run into its time limit.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as handle:
        while not team.agree(team.leads and taken(handle)):
            time.sleep(_POLL_SECONDS)
        yield


def begin(
    config: TrialConfig,
    learner: Learner,
    folder: Path,
    train: Callable[[TrialConfig, Path], Line],
) -> tuple[Line | None, list[str]]:
    """Let `learner` start from the best weights of the first stage, trained now if need be.

    Args:
        config: the trial that begins.
        learner: its model.
        folder: where first stages are kept, one folder per stage.
        train: trains a stage in its folder to the end, and returns the last line of its log.

    Returns:
        That line, None if there is no first stage, and notes of what was done.
    """
    stage = first_stage(config)
    if stage is None:
        return None, []
    data, own = open_dataset(Path(stage.task.data)), learner.dataset
    place = folder / key(stage, data.fingerprint)
    with held(place.with_suffix(".lock"), learner.team):
        last = train(stage, place)
    if last.state != "complete":
        return last, []
    weights = _resized(stage, place, data.num_classes, config.task.image_size)
    if data.fingerprint != own.fingerprint:
        weights = {name: v for name, v in weights.items() if name not in _of_classes(config)}
    learner.begin(weights)
    top1 = last.metrics["best_valid_top1"]
    return last, [f"started from stage {place.name}, validation accuracy {top1:.4f}"]


def _resized(
    stage: TrialConfig, place: Path, classes: int, image_size: int
) -> dict[str, torch.Tensor]:
    """The best weights of a stage, made to fit images of another size."""
    model = models.build(
        stage.task.model, stage.params, image_size=stage.task.image_size, num_classes=classes
    )
    model.load_state_dict(checkpoint.load(TrialFolder(place).best)["model"])
    return (
        model if stage.task.image_size == image_size else resize(model, image_size)
    ).state_dict()


def _of_classes(config: TrialConfig) -> set[str]:
    """The names of the weights whose shape depends on the number of classes."""
    shapes = []
    for classes in (2, 3):
        with torch.device("meta"):
            model = models.build(
                config.task.model,
                config.params,
                image_size=config.task.image_size,
                num_classes=classes,
            )
        shapes.append({name: value.shape for name, value in model.state_dict().items()})
    return {name for name, shape in shapes[0].items() if shapes[1][name] != shape}
