"""What is bound to the number of tokens follows the image size, everything else is copied."""

import pytest
import torch

from trainables import models
from trainables.models.geometry import Geometry
from trainables.models.resize import over_grid, over_length, resize

PARAMS = {"depth": 1, "dim": 8, "heads": 2, "grid": 4}
OLD, NEW = (Geometry(width=8, heads=2, grid=(side, side)) for side in (4, 6))


def test_a_constant_stays_constant_and_the_class_entry_itself():
    values = torch.full((2, OLD.tokens, 3), 5.0)
    values[:, 0] = 9.0
    resampled = over_grid(values, OLD, NEW)
    assert resampled.shape == (2, NEW.tokens, 3)
    assert (resampled[:, 0] == 9.0).all()
    torch.testing.assert_close(resampled[:, 1:], torch.full((2, 36, 3), 5.0))


def test_a_ramp_stays_a_ramp_in_its_direction():
    ramp = torch.arange(4.0).repeat_interleave(4)[:, None]  # grows downwards
    bare_old, bare_new = (Geometry(width=8, heads=2, grid=g.grid, prefix=0) for g in (OLD, NEW))
    rows = over_grid(ramp, bare_old, bare_new, mode="bilinear").view(6, 6)
    torch.testing.assert_close(rows, rows[:, :1].expand(6, 6))
    assert (rows[1:, 0] > rows[:-1, 0]).all()


def test_lengths():
    line = torch.linspace(0, 1, 5, dtype=torch.float64)[:, None]
    assert over_length(line, 5).equal(line)
    longer = over_length(line, 9)
    assert longer.shape == (9, 1)
    assert (longer[1:] >= longer[:-1]).all()


def test_positions_follow_and_the_rest_is_copied():
    model = models.build("vit", PARAMS, image_size=16, num_classes=3).double()
    larger = resize(model, 24)
    expected = over_grid(model.position, OLD, NEW)
    torch.testing.assert_close(larger.position, expected)
    old, new = model.state_dict(), larger.state_dict()
    assert old.keys() == new.keys()
    for name in old.keys() - {"position"}:
        assert new[name].equal(old[name]), name


def test_the_patch_in_pixels_is_kept():
    larger = resize(models.build("vit", PARAMS, image_size=16, num_classes=3), 24)
    assert larger.embed.kernel_size == (4, 4)
    assert larger.geometry.grid == (6, 6)
    with pytest.raises(ValueError, match="patch=4 must divide the image's 18 px"):
        resize(larger, 18)


def test_a_length_without_a_rule_is_told():
    class Bound(torch.nn.Module):
        def __init__(self, image_size: int):
            super().__init__()
            self.table = torch.nn.Parameter(torch.zeros(image_size))

        def rebuilt(self, image_size: int) -> "Bound":
            return Bound(image_size)

    with pytest.raises(ValueError, match="no rule how these follow to 5 px: table"):
        resize(Bound(4), 5)
