"""Augmentation: known draws give known images, and symmetries are respected."""

from functools import partial

import pytest
import torch

from trainables.data import Symmetries
from trainables.training.augment.symmetries import DRAWS, augmented

GALAXY = Symmetries(90.0, horizontal_flip=True, vertical_flip=True)
DIGIT = Symmetries()
# no turn, no flip, the whole area at ratio 1; the offsets then have nowhere to go
IDENTITY = {
    "angle": 0.5,
    "flip_x": 0.9,
    "flip_y": 0.9,
    "area": 1.0,
    "ratio": 0.5,
    "left": 0.2,
    "top": 0.7,
}
assert_same = partial(torch.testing.assert_close, rtol=0, atol=1e-5)


def images(batch: int = 2, side: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, 3, side, side, generator=generator)


def draws(**changes: float) -> torch.Tensor:
    return torch.tensor([list((IDENTITY | changes).values())] * 2)


@pytest.mark.parametrize("side", [7, 8])
def test_identity(side):
    before = images(side=side)
    assert_same(augmented(before, draws(), GALAXY), before)


@pytest.mark.parametrize(("angle", "turns"), [(0.0, -1), (1.0, 1)])
def test_right_angles(angle, turns):
    before = images()
    after = augmented(before, draws(angle=angle), GALAXY)
    ways = [torch.rot90(before, k, dims=(2, 3)) for k in (turns, -turns)]
    assert_same(after, ways[0])
    assert not torch.allclose(after, ways[1], atol=0.1)


def test_half_turn():
    turned = augmented(images(), draws(angle=0.0), Symmetries(180.0))
    assert_same(turned, torch.rot90(images(), 2, dims=(2, 3)))


def test_a_turn_leaves_black_corners_and_keeps_the_centre():
    white = torch.ones(1, 3, 9, 9)
    turned = augmented(white, draws(angle=0.75)[:1], GALAXY)
    corners = turned[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert corners.max() < 0.5
    assert_same(turned[:, :, 4, 4], torch.ones(1, 3))


@pytest.mark.parametrize(
    ("flips", "dims"),
    [({"flip_x": 0.1}, (3,)), ({"flip_y": 0.1}, (2,)), ({"flip_x": 0.1, "flip_y": 0.1}, (2, 3))],
)
def test_flips(flips, dims):
    assert_same(augmented(images(), draws(**flips), GALAXY), torch.flip(images(), dims))


@pytest.mark.parametrize(("flip", "dims"), [("flip_x", (3,)), ("flip_y", (2,))])
def test_first_turned_then_flipped_then_cropped(flip, dims):
    crop = {"area": 0.1, "ratio": 0.8, "left": 0.2, "top": 0.9}
    after = augmented(images(), draws(angle=0.0, **{flip: 0.1}, **crop), GALAXY)
    before = torch.flip(torch.rot90(images(), -1, dims=(2, 3)), dims)
    assert_same(after, augmented(before, draws(**crop), GALAXY))


@pytest.mark.parametrize(
    ("symmetries", "change"),
    [
        (DIGIT, {"angle": 0.0, "flip_x": 0.1, "flip_y": 0.1}),
        (Symmetries(90.0, False, True), {"flip_x": 0.1}),
        (Symmetries(90.0, True, False), {"flip_y": 0.1}),
        (Symmetries(0.0, True, True), {"angle": 0.0}),
    ],
)
def test_what_the_symmetries_forbid_is_left_out(symmetries, change):
    assert_same(augmented(images(), draws(**change), symmetries), images())


def ramp(side: int = 100) -> torch.Tensor:
    """An image whose pixels hold their coordinates, from -1 at the left and top edges to 1."""
    centres = (torch.arange(side) + 0.5) / side * 2 - 1
    x, y = centres.expand(side, side), centres.unsqueeze(1).expand(side, side)
    return torch.stack((x, y, torch.zeros(side, side))).unsqueeze(0)


def window(**changes: float) -> tuple[float, float, float, float]:
    """Left, top, width and height of the crop, as shares of the image."""
    after = augmented(ramp(), draws(**changes)[:1], DIGIT)
    x, y = after[0, 0, 50], after[0, 1, :, 50]
    width, height = (float(c[70] - c[30]) / 0.8 for c in (x, y))
    middle = (float(c[49] + c[50]) / 4 + 0.5 for c in (x, y))
    left, top = (m - size / 2 for m, size in zip(middle, (width, height), strict=True))
    return left, top, width, height


@pytest.mark.parametrize(("area", "share"), [(0.0, 0.8), (0.5, 0.9), (1.0, 1.0)])
def test_crop_has_the_drawn_area(area, share):
    left, top, width, height = window(area=area, left=0.5, top=0.5)
    assert width * height == pytest.approx(share, abs=1e-4)
    assert (left, top) == pytest.approx(((1 - width) / 2, (1 - height) / 2), abs=1e-4)


@pytest.mark.parametrize(("ratio", "wide"), [(0.0, 1 / 1.01), (1.0, 1.01)])
def test_crop_has_the_drawn_ratio(ratio, wide):
    _, _, width, height = window(area=0.0, ratio=ratio)
    assert width / height == pytest.approx(wide, abs=1e-4)
    assert width * height == pytest.approx(0.8, abs=1e-4)


@pytest.mark.parametrize(("left", "top"), [(0.0, 0.0), (1.0, 0.0), (0.25, 1.0)])
def test_crop_lies_where_it_is_drawn(left, top):
    at = window(area=0.0, left=left, top=top)
    rest = 1 - 0.8**0.5
    assert at[:2] == pytest.approx((left * rest, top * rest), abs=1e-4)


def test_no_crop_leaves_the_image():
    drawn = torch.rand(500, DRAWS, generator=torch.Generator().manual_seed(0))
    after = augmented(torch.ones(500, 1, 6, 6), drawn, DIGIT)
    assert_same(after[..., 1:-1, 1:-1], torch.ones(500, 1, 4, 4))
    assert after.min() > 0.89  # only the outer half of the outermost pixels fades


def test_a_sample_does_not_depend_on_its_batch_mates():
    before = images(5)
    drawn = torch.rand(5, DRAWS, generator=torch.Generator().manual_seed(1))
    together = augmented(before, drawn, GALAXY)
    for i in range(5):
        assert_same(augmented(before[i : i + 1], drawn[i : i + 1], GALAXY)[0], together[i])
    assert_same(augmented(before.flip(0), drawn.flip(0), GALAXY), together.flip(0))
    assert not torch.allclose(together, before, atol=0.1)
