"""Batches of an epoch: every sample once, whoever trains; augmentation that knows no worker."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.data import Symmetries, open_dataset
from trainables.data.pixels import Mapped, open_pixels
from trainables.recipe import Recipe
from trainables.team import Team
from trainables.training.feed import Feed

CPU = torch.device("cpu")
PLAIN = Recipe(batch_size=8)
DEIT3 = dataclasses.replace(Recipe.filled({"recipe": "deit3"}), batch_size=8)


@pytest.fixture(scope="module")
def data(tiny_data):
    return open_dataset(tiny_data)


@pytest.fixture(scope="module")
def pixels(data) -> Mapped:
    return open_pixels(data, "train", 16, CPU)


def feed(pixels, data, recipe=PLAIN, rank=0, size=1, **named) -> Feed:
    weights = torch.tensor([0.5, 1.0, 1.5])
    team = Team(rank, size, CPU)
    return Feed(pixels, recipe, data, team, seed=3, class_weights=weights, **named)


class Numbered(Mapped):
    """So many samples, of no pixels."""

    def __init__(self, samples: int):
        super().__init__(None, torch.zeros(samples, dtype=torch.int64), CPU, "")


@settings(max_examples=60, deadline=None)
@given(
    samples=st.integers(1, 60),
    batch=st.integers(1, 17),
    size=st.integers(1, 9),
    joined=st.booleans(),
)
def test_each_sample_is_seen_once_an_epoch_by_any_team(data, samples, batch, size, joined):
    recipe = Recipe(batch_size=batch)
    seen = torch.zeros(samples)
    for rank in range(size):
        one = feed(Numbered(samples), data, recipe, rank, size, joined=joined)
        batches = one.batches(1)
        assert len(batches) == one.steps
        assert all(torch.equal(a, b) for a, b in zip(batches, one.batches(1), strict=True))
        for whole in batches:
            seen[whole[one.team.places(len(whole))]] += 1
    assert (seen == 1).all()
    assert not joined or batch == 1 or samples == 1 or all(len(whole) > 1 for whole in batches)


@pytest.mark.parametrize("recipe", [PLAIN, DEIT3], ids=["galaxy", "deit3"])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_a_teams_batches_are_those_of_one_worker(pixels, data, recipe, size):
    alone = list(feed(pixels, data, recipe).epoch(2))
    team = [list(feed(pixels, data, recipe, rank, size).epoch(2)) for rank in range(size)]
    for number, whole in enumerate(alone):
        for rank in range(size):
            part = team[rank][number]
            for name in ("images", "labels", "weights", "share", "other_labels"):
                mine, theirs = getattr(part, name), getattr(whole, name)
                if mine is None:
                    assert theirs is None
                elif part.own:
                    torch.testing.assert_close(mine, theirs[rank::size], atol=1e-5, rtol=0)
            assert part.total == whole.total
            assert part.most == -(-len(whole.labels) // size)
            assert len(part.images) == max(part.own, 1)
            assert part.own or part.weights.sum() == 0


def test_images_are_normalised_as_the_recipe_says(pixels, data):
    still = dataclasses.replace(data, symmetries=Symmetries())
    means = {}
    for name in ("data", "imagenet", "half"):
        recipe = dataclasses.replace(PLAIN, normalisation=name, batch_size=43)
        (batch,) = feed(pixels, still, recipe).epoch(1)
        means[name] = batch.images.mean((0, 2, 3))
    raw = means["half"] / 2 + 0.5
    assert means["data"].abs().max() < 0.05
    imagenet = (raw - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(means["imagenet"], imagenet, atol=0.05, rtol=0)


def test_cutmix_of_some_images_leaves_the_others_whole(pixels, data):
    some = dataclasses.replace(DEIT3, cutmix=0.5, batch_size=43)
    (batch,) = feed(pixels, data, some).epoch(1)
    whole = (batch.share == 1).sum()
    assert 10 < whole < 33
    (uncut,) = feed(pixels, data, dataclasses.replace(some, cutmix=0.0)).epoch(1)
    same = (batch.images == uncut.images).all(3).all(2).all(1)
    assert same[batch.share == 1].all()
    assert uncut.share is None


def test_parts_of_a_batch_are_the_batch(pixels, data):
    (batch,) = feed(pixels, data, dataclasses.replace(DEIT3, batch_size=43)).epoch(1)
    for images in (1, 10, 42, 43, 100):
        parts = batch.parts(images)
        assert max(len(part.labels) for part in parts) <= images
        assert sum(part.own for part in parts) == 43
        for name in ("images", "labels", "weights", "share", "other_labels"):
            joined = torch.cat([getattr(part, name) for part in parts])
            assert torch.equal(joined, getattr(batch, name))


def test_a_worker_with_fewer_images_has_as_many_parts(pixels, data):
    """Else it would wait for the others in a collective that they never reach."""
    recipe = dataclasses.replace(PLAIN, batch_size=43)
    parts = []
    for rank in range(4):  # 11, 11, 11 and 10 images
        (batch,) = feed(pixels, data, recipe, rank, 4).epoch(1)
        parts.append(batch.parts(1))
    assert [len(found) for found in parts] == [11] * 4
    assert [sum(part.own for part in found) for found in parts] == [11, 11, 11, 10]
    assert all(len(part.labels) == 1 for found in parts for part in found)
    assert parts[3][-1].weights.sum() == 0
