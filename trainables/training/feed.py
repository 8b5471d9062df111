"""A worker's part of the batches of an epoch, augmented and normalised on its device.

A batch is a part of the epoch's order of all samples, which all workers know; each worker takes
every `size`-th sample of it. Letters: B = a worker's images in a batch, S = pixels per side.
"""

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import ModuleType

import torch
from torch.nn.functional import cross_entropy

from trainables.data import Dataset
from trainables.data.pixels import Pixels
from trainables.recipe import Recipe
from trainables.team import Team
from trainables.training import augment
from trainables.training.augment import cutmix
from trainables.training.randomness import Purpose, generator

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
_FEW_BYTES = 4 * 2**20  # images that are augmented at a time on the CPU


class Normalisation:
    """What a recipe subtracts from pixels in 0..1 and then divides them by, on `device`."""

    def __init__(self, recipe: Recipe, dataset: Dataset, device: torch.device):
        known = {"data": (dataset.mean, dataset.std), "imagenet": _IMAGENET, "half": _HALF}
        mean, std = (torch.tensor(v, device=device) for v in known[recipe.normalisation])
        self._mean, self._std = mean.view(1, -1, 1, 1), std.view(1, -1, 1, 1)

    def __call__(self, images: torch.Tensor, out: torch.Tensor | None = None) -> torch.Tensor:
        """Images (B, 3, S, S) in 0..1, normalised; written to `out` if it is given."""
        return torch.sub(images, self._mean, out=out).div_(self._std)


@dataclass(frozen=True, slots=True)
class Batch:
    """A worker's part of a batch.

    Attributes:
        images: (B, 3, S, S), normalised.
        weights: (B,) of each image's loss; 0 for an image lent to a worker that has none.
        total: the sum of the weights over the whole batch.
        own: how many of the images are this worker's.
        most: how many images the worker with the most has.
        labels, other_labels: (B,) classes of each image and, with CutMix, of the part put into it.
        share: (B,) weight of `labels` in the loss; the rest is that of `other_labels`.
    """

    images: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor
    total: torch.Tensor
    own: int
    most: int
    share: torch.Tensor | None = None
    other_labels: torch.Tensor | None = None

    def losses(self, logits: torch.Tensor, label_smoothing: float) -> torch.Tensor:
        """(B,) cross entropies of logits (B, classes), not yet weighted."""
        kind = {"reduction": "none", "label_smoothing": label_smoothing}
        losses = cross_entropy(logits, self.labels, **kind)
        if self.share is None or self.other_labels is None:
            return losses
        others = cross_entropy(logits, self.other_labels, **kind)
        return self.share * losses + (1 - self.share) * others

    def parts(self, images: int) -> "list[Batch]":
        """The batch in parts of at most `images`; every worker has the same number of parts.

        A worker with fewer images may have a part with one image of weight 0.
        """
        number = -(-self.most // images)
        if number == 1:
            return [self]
        return [self._part(i) for i in torch.arange(len(self.labels)).tensor_split(number)]

    def _part(self, indices: torch.Tensor) -> "Batch":
        empty = not len(indices)
        chosen = (torch.zeros(1, dtype=torch.int64) if empty else indices).to(self.labels.device)

        def of(values: torch.Tensor | None) -> torch.Tensor | None:
            return None if values is None else values[chosen]

        return replace(
            self,
            images=self.images[chosen],
            labels=self.labels[chosen],
            weights=self.weights[chosen] * (not empty),
            own=0 if empty else min(self.own, len(indices)),
            share=of(self.share),
            other_labels=of(self.other_labels),
        )


class Feed:
    """The batches of a split for one worker of a team, by a recipe.

    With `joined`, a last batch of a single image, which has no variance, joins the one before.
    """

    def __init__(
        self,
        pixels: Pixels,
        recipe: Recipe,
        dataset: Dataset,
        team: Team,
        *,
        seed: int,
        class_weights: torch.Tensor,
        joined: bool = False,
    ):
        self.pixels, self.recipe, self.team = pixels, recipe, team
        self._dataset, self._seed, self._joined = dataset, seed, joined
        self._weights = class_weights.to(team.device)
        self._labels = pixels.labels.to(team.device)
        self._normalised = Normalisation(recipe, dataset, team.device)
        self._augmentation = _augmentation(recipe.augmentation)

    @property
    def steps(self) -> int:
        """Batches of an epoch."""
        images, size = len(self._labels), self.recipe.batch_size
        steps = -(-images // size)
        last = images - (steps - 1) * size
        return steps - 1 if self._joined and steps > 1 and last == 1 else steps

    def batches(self, epoch: int) -> list[torch.Tensor]:
        """Indices of the samples of each batch of an epoch, over all workers."""
        order = self.pixels.order(generator(self._seed, epoch, Purpose.ORDER))
        size = self.recipe.batch_size
        cut = (self.steps - 1) * size
        return [*order[:cut].split(size), order[cut:]] if cut else [order]

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """This worker's parts of the batches of an epoch."""
        batches = self.batches(epoch)
        places = [self._places(len(whole)) for whole in batches]
        wanted = [whole[place] for whole, place in zip(batches, places, strict=True)]
        loaded = self.pixels.batches(wanted)
        for number, pixels in enumerate(loaded):
            numbers = (self._seed, epoch, number)
            yield self._batch(batches[number], places[number], pixels, numbers)

    def _places(self, size: int) -> torch.Tensor:
        """Which images of a batch of `size` this worker needs: first its own.

        Then, in a team, those that are cut into them. The last batch may be smaller than the team;
        a worker without a sample then borrows one.
        """
        own = self.team.places(size)
        own = own if len(own) else torch.zeros(1, dtype=torch.int64)
        return torch.cat((own, size - 1 - own)) if self._others_are_loaded else own

    @property
    def _others_are_loaded(self) -> bool:
        return bool(self.recipe.cutmix) and self.team.size > 1

    def _batch(
        self,
        whole: torch.Tensor,
        places: torch.Tensor,
        pixels: torch.Tensor,
        numbers: tuple[int, int, int],
    ) -> Batch:
        """This worker's part of a batch; `pixels` (b, 3, S, S) uint8 are samples at `places`."""
        device, lent = self.team.device, self.team.rank >= len(whole)
        draws = self._draws(self._augmentation.DRAWS, len(whole), numbers, Purpose.AUGMENT)
        images = self._ready(pixels, draws[places].to(device))
        own = places[: len(places) // (1 + self._others_are_loaded)]
        images, share = self._cut(images, own, len(whole), numbers)
        labels = self._labels[whole.to(device)]
        weights = self._weights[labels]
        own = own.to(device)
        return Batch(
            images=images,
            labels=labels[own],
            weights=weights[own] * (not lent),
            total=weights.sum(),
            own=0 if lent else len(own),
            most=-(-len(whole) // self.team.size),
            share=share,
            other_labels=None if share is None else labels[len(whole) - 1 - own],
        )

    def _ready(self, pixels: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """(b, 3, S, S) uint8 augmented and normalised.

        The CPU does a few images at a time: their tensors stay in its caches and their memory is
        used again, while the system has to clear new memory for a whole batch each time.
        """
        images = torch.empty(pixels.shape, device=pixels.device)
        few = len(pixels)
        if pixels.device.type == "cpu":
            few = max(torch.get_num_threads(), _FEW_BYTES // images[0].nbytes)
        for part, own, drawn in zip(
            images.split(few), pixels.split(few), draws.split(few), strict=True
        ):
            augmented = self._augmentation.augmented(
                own.float().div_(255), drawn, self._dataset.symmetries
            )
            self._normalised(augmented, out=part)
        return images

    def _cut(
        self, images: torch.Tensor, own: torch.Tensor, size: int, numbers: tuple[int, int, int]
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """This worker's images with parts of others in them; their own labels' shares (B,)."""
        if not self.recipe.cutmix:
            return images, None
        others = images[len(own) :] if self._others_are_loaded else images.flip(0)
        images = images[: len(own)]
        draws = self._draws(1 + cutmix.DRAWS, size, numbers, Purpose.CUTMIX)[own].to(images.device)
        mixed, share = cutmix.cutmix(images, others, draws[:, 1:])
        chosen = draws[:, 0] < self.recipe.cutmix
        share = torch.where(chosen, share, 1.0)
        return torch.where(chosen.view(-1, 1, 1, 1), mixed, images), share

    @staticmethod
    def _draws(
        width: int, size: int, numbers: tuple[int, int, int], purpose: Purpose
    ) -> torch.Tensor:
        """(size, width) uniform numbers for a batch, the same for every worker."""
        return torch.rand(size, width, generator=generator(*numbers, purpose))


def _augmentation(name: str) -> ModuleType:
    return importlib.import_module(f"{augment.__name__}.{name}")
