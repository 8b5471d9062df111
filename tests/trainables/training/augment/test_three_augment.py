"""3-Augment: its operations are torchvision's, its draws have the recipe's distribution."""

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter
from sklearn.datasets import load_sample_image
from torch._subclasses.fake_tensor import FakeTensorMode
from torchvision.transforms.v2 import functional as reference

from trainables.data import Symmetries
from trainables.training.augment import three_augment
from trainables.training.augment.three_augment import (
    BLUR_PX,
    DRAWS,
    SHIFT_PX,
    blurred,
    cropped,
    grey,
    jittered,
    solarised,
)

ADJUSTMENTS = (
    reference.adjust_brightness,
    reference.adjust_contrast,
    reference.adjust_saturation,
)
ROW, COLUMN, FLIP, ONE, SIGMA, ORDER, *FACTORS = range(DRAWS)
GREY, SOLARISED, BLURRED = 0.1, 0.5, 0.9  # draws of the choice
LAST = 1 - 2**-24  # the largest number that fp32 draws from [0, 1)
assert_same = partial(torch.testing.assert_close, rtol=0, atol=1e-6)
augmented = partial(three_augment.augmented, symmetries=Symmetries(horizontal_flip=True))


def images(batch: int = 4, side: int = 12) -> torch.Tensor:
    """Noise in whole grey levels, as decoded images have."""
    generator = torch.Generator().manual_seed(side)
    return torch.randint(0, 256, (batch, 3, side, side), generator=generator) / 255


def uniform(batch: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(batch, DRAWS, generator=torch.Generator().manual_seed(seed))


def draws(changes: dict[int, float], batch: int = 4) -> torch.Tensor:
    """Draws that leave all to the choice of one: no shift, no flip, factors of 1."""
    still = torch.full((batch, DRAWS), 0.5)
    for place, value in changes.items():
        still[:, place] = value
    return still


@pytest.mark.parametrize("mirrored", [False, True])
def test_every_shift_is_a_crop_of_the_reflected_image(mirrored):
    moves = list(itertools.product(range(-SHIFT_PX, SHIFT_PX + 1), repeat=2))
    image = images(1, 7)
    found = cropped(
        image.expand(len(moves), -1, -1, -1),
        torch.tensor(moves),
        torch.full((len(moves),), mirrored),
    )
    padded = reference.pad(image[0], [SHIFT_PX] * 4, padding_mode="reflect")
    for (row, column), after in zip(moves, found, strict=True):
        expected = reference.crop(padded, row + SHIFT_PX, column + SHIFT_PX, 7, 7)
        assert torch.equal(after, reference.hflip(expected) if mirrored else expected)


def test_grey():
    assert_same(grey(images()), reference.rgb_to_grayscale(images()))


def test_every_level_is_solarised_as_in_bytes():
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).expand(1, 3, -1, -1)
    found = solarised(levels.float().div_(255))
    assert_same(found, reference.solarize(levels, threshold=128) / 255)


@pytest.mark.parametrize("side", [BLUR_PX + 1, 20])
def test_blur_with_a_sigma_of_its_own_for_every_image(side):
    sigma = torch.tensor([0.2, 0.5, 1.1, 2.0])
    found, before = blurred(images(side=side), sigma), images(side=side)
    for image, spread, after in zip(before, sigma.tolist(), found, strict=True):
        assert_same(after, reference.gaussian_blur(image, [2 * BLUR_PX + 1] * 2, [spread]))


def test_blur_reaches_far_enough():
    wide = reference.gaussian_blur(images(), [21, 21], [2.0])
    found = blurred(images(), torch.full((4,), 2.0))
    torch.testing.assert_close(found, wide, rtol=0, atol=0.5 / 255)


def test_autocast_does_not_narrow_the_blur():
    sigma = torch.full((4,), 1.3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = blurred(images(), sigma)
    assert torch.equal(found, blurred(images(), sigma))


@pytest.mark.parametrize("sigma", [0.2, 0.35, 0.5, 1.0, 2.0])
def test_blur_of_a_photograph_is_near_pillows(sigma):
    photo = Image.fromarray(load_sample_image("china.jpg")).resize((96, 96))
    theirs = np.asarray(photo.filter(ImageFilter.GaussianBlur(sigma)), np.float32)
    before = torch.from_numpy(np.array(photo)).permute(2, 0, 1).unsqueeze(0) / 255
    ours = blurred(before, torch.tensor([sigma]))[0].permute(1, 2, 0).numpy() * 255
    apart = np.abs(ours - theirs)[BLUR_PX:-BLUR_PX, BLUR_PX:-BLUR_PX]
    assert apart.mean() < 2


@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("factor", [0.7, 0.93, 1.3])
def test_one_factor_is_one_adjustment(place, factor):
    factors = torch.ones(4, 3)
    factors[:, place] = factor
    expected = ADJUSTMENTS[place](images(), factor)
    for number in range(6):
        assert_same(jittered(images(), factors, torch.full((4,), number)), expected)


def permutation(number: int) -> tuple[int, ...]:
    """The order that `number` stands for: even ones are cyclic, odd ones swap the last two."""
    first = number // 2
    rest = [(first + 1) % 3, (first + 2) % 3]
    return first, *(rest[::-1] if number % 2 else rest)


def adjusted(image: torch.Tensor, factors: list[float], order: tuple[int, ...]) -> torch.Tensor:
    for place in order:
        image = ADJUSTMENTS[place](image, factors[place])
    return image


def test_the_six_orders_are_all_there():
    assert {permutation(number) for number in range(6)} == set(itertools.permutations(range(3)))
    factors = [1.3, 0.75, 1.25]
    image = images(1)
    found = jittered(
        image.expand(6, -1, -1, -1), torch.tensor(factors).expand(6, -1), torch.arange(6)
    )
    for number, after in enumerate(found):
        assert_same(after, adjusted(image[0], factors, permutation(number)))
    for one, other in itertools.combinations(found, 2):
        assert (one - other).abs().max() > 1e-3


def one_of_three(image: torch.Tensor, choice: float, sigma: float) -> torch.Tensor:
    if choice < 1 / 3:
        return reference.rgb_to_grayscale(image, num_output_channels=3)
    if choice < 2 / 3:
        return reference.solarize(image, threshold=128 / 255)
    return reference.gaussian_blur(image, [2 * BLUR_PX + 1] * 2, [0.2 + 1.8 * sigma])


def plain(image: torch.Tensor, numbers: list[float]) -> torch.Tensor:
    """3-Augment of one image with torchvision's functions, step by step."""
    side = image.shape[-1]
    image = reference.pad(image, [4] * 4, padding_mode="reflect")
    image = reference.crop(image, int(9 * numbers[ROW]), int(9 * numbers[COLUMN]), side, side)
    if numbers[FLIP] < 0.5:
        image = reference.hflip(image)
    image = one_of_three(image, numbers[ONE], numbers[SIGMA])
    factors = [0.7 + 0.6 * numbers[place] for place in FACTORS]
    return adjusted(image, factors, permutation(int(6 * numbers[ORDER])))


def test_a_batch_is_what_torchvision_makes_of_each_image():
    before, numbers = images(48), uniform(48)
    found = augmented(before, numbers)
    for image, drawn, after in zip(before, numbers.tolist(), found, strict=True):
        torch.testing.assert_close(after, plain(image, drawn), rtol=0, atol=3e-6)


@pytest.mark.parametrize(
    ("choice", "change"),
    [
        (GREY, lambda image: grey(image).expand(-1, 3, -1, -1)),
        (SOLARISED, solarised),
        (BLURRED, lambda image: blurred(image, torch.full((4,), 1.1))),
    ],
)
def test_exactly_one_of_the_three(choice, change: Callable[[torch.Tensor], torch.Tensor]):
    assert_same(augmented(images(), draws({ONE: choice, FLIP: 0.9})), change(images()))


def test_without_the_flip():
    found = three_augment.augmented(images(), draws({FLIP: 0.1}), Symmetries())
    assert_same(found, augmented(images(), draws({FLIP: 0.9})))
    assert not torch.allclose(found, augmented(images(), draws({FLIP: 0.1})), atol=0.1)


def test_shares_of_flips_and_shifts():
    """Red holds the row of a pixel, green its column, all too dark to be solarised."""
    numbers = uniform(4000)
    numbers[:, ONE] = SOLARISED
    numbers[:, FACTORS] = 0.5
    row, column = torch.meshgrid(torch.arange(20), torch.arange(20), indexing="ij")
    ramp = torch.stack((row, column, column)).unsqueeze(0) / 255
    found = augmented(ramp.expand(4000, -1, -1, -1), numbers) * 255
    mirrored = found[:, 1, 10, 5] > found[:, 1, 10, 14]
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.03)
    # the place (10, 10) of the crop before it was mirrored, which no reflection reaches
    shifts = found[:, 0, 10, 10], torch.where(mirrored, found[:, 1, 10, 9], found[:, 1, 10, 10])
    for drawn, place in zip((ROW, COLUMN), shifts, strict=True):
        moved = place.round().long() - 10 + SHIFT_PX
        assert torch.equal(moved, (9 * numbers[:, drawn]).long())
        assert (moved.bincount() / 4000).tolist() == pytest.approx([1 / 9] * 9, abs=0.02)


def test_shares_of_the_three():
    """A red spot on black: grey makes its green as bright, solarising red dark, blurring wide."""
    spot = torch.zeros(1, 3, 13, 13)
    spot[:, 0, 6, 6] = 1
    numbers = uniform(3000)
    numbers[:, [ROW, COLUMN]] = 0.5
    numbers[:, FACTORS] = 0.5
    found = augmented(spot.expand(3000, -1, -1, -1), numbers)
    grey_ones = found[:, 1, 6, 6] > 0.1
    solarised_ones = found[:, 0, 6, 6] < 1e-6
    blurred_ones = (found[:, 0, 6, 6] > 0.01) & ~grey_ones
    every = torch.stack((grey_ones, solarised_ones, blurred_ones))
    assert (every.sum(0) == 1).all()
    assert every.float().mean(1).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    # the peak of a sampled Gaussian falls with its sigma, so its quantiles are the sigma's
    peaks = found[blurred_ones, 0, 6, 6].sort().values
    for share in (0.1, 0.5, 0.9):
        sigma = torch.tensor([2.0 - 1.8 * share])
        expected = blurred(spot, sigma)[0, 0, 6, 6].item()
        assert peaks[int(share * len(peaks))].item() == pytest.approx(expected, rel=0.25)


def test_range_of_the_factors():
    """Brightness of a flat grey image, which contrast and saturation leave as it is."""
    flat = torch.full((1, 3, 7, 7), 0.4)
    found = augmented(flat.expand(3000, -1, -1, -1), uniform(3000))[:, 0, 3, 3] / 0.4
    assert found.min().item() == pytest.approx(0.7, abs=0.01)
    assert found.max().item() == pytest.approx(1.3, abs=0.01)
    assert found.mean().item() == pytest.approx(1.0, abs=0.02)
    assert found.quantile(0.25).item() == pytest.approx(0.85, abs=0.02)


@pytest.mark.parametrize("number", [0.0, LAST])
def test_the_ends_of_what_can_be_drawn(number):
    found = augmented(images(), torch.full((4, DRAWS), number))
    expected = [plain(image, [number] * DRAWS) for image in images()]
    torch.testing.assert_close(found, torch.stack(expected), rtol=0, atol=3e-6)


def test_a_sample_depends_on_its_own_draws_alone():
    before, numbers = images(9), uniform(9, seed=1)
    together = augmented(before, numbers)
    assert torch.equal(together, augmented(before, numbers))
    for i in range(9):
        assert_same(augmented(before[i : i + 1], numbers[i : i + 1])[0], together[i])
    assert_same(augmented(before.flip(0), numbers.flip(0)), together.flip(0))
    assert torch.equal(before, images(9))  # given images stay as they are


def test_nothing_waits_for_the_device():
    """Without values, a shape or a branch that hangs on one is an error, as is a tensor elsewhere.

    So the whole can be captured in a CUDA graph.
    """
    with FakeTensorMode():
        found = augmented(
            torch.empty(4, 3, 16, 16, device="cuda"), torch.empty(4, DRAWS, device="cuda")
        )
    assert (found.shape, found.device.type) == ((4, 3, 16, 16), "cuda")


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 8, 9), (3, 8, 8)])
def test_other_than_square_rgb_is_refused(shape):
    with pytest.raises(ValueError, match=r"takes \(B, 3, S, S\) images, given \("):
        augmented(torch.zeros(shape), uniform(2))


def test_images_too_small_to_reflect_are_refused():
    with pytest.raises(ValueError, match=r"at least 7 pixels per side, given 6"):
        augmented(images(side=6), uniform(4))
