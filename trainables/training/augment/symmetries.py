"""Augmentation of whole batches on the device that trains.

The galaxy paper's chain (rotation by up to 90 degrees, both flips, a crop of 80 to 100 % of the
area resized back) composed into one affine map and sampled once, bilinearly, black outside.
Rotation and flips are used as far as the data set's symmetries allow.
Letters: B = batch, S = pixels per side.
"""

import math

import torch
from torch.nn.functional import grid_sample

from trainables.data.dataset import Symmetries

DRAWS = 7  # uniform numbers per sample: angle, two flips, area, ratio, two offsets
_AREA = (0.8, 1.0)
_LOG_RATIO = math.log(1.01)


def _placements(draws: torch.Tensor, symmetries: Symmetries) -> torch.Tensor:
    """(B, 2, 3) maps from output to input coordinates, from (B, DRAWS) numbers in [0, 1)."""
    angle, flip_x, flip_y, area, ratio, left, top = draws.unbind(1)
    angle = torch.deg2rad((2 * angle - 1) * symmetries.rotation_degrees)
    mirror_x = 1 - 2 * ((flip_x < 0.5) & symmetries.horizontal_flip).float()
    mirror_y = 1 - 2 * ((flip_y < 0.5) & symmetries.vertical_flip).float()
    area = _AREA[0] + (_AREA[1] - _AREA[0]) * area
    root_ratio = torch.exp((2 * ratio - 1) * _LOG_RATIO / 2)
    width = (area.sqrt() * root_ratio).clamp(max=1)
    height = (area.sqrt() / root_ratio).clamp(max=1)
    x, y = (2 * left - 1) * (1 - width), (2 * top - 1) * (1 - height)
    cos, sin = angle.cos(), angle.sin()
    # rotation · flips · crop, read from the output back to the input
    rows = (
        torch.stack((cos * mirror_x * width, -sin * mirror_y * height), 1),
        torch.stack((sin * mirror_x * width, cos * mirror_y * height), 1),
    )
    offsets = torch.stack(
        (cos * mirror_x * x - sin * mirror_y * y, sin * mirror_x * x + cos * mirror_y * y), 1
    )
    return torch.cat((torch.stack(rows, 1), offsets.unsqueeze(2)), 2)


def _grid(maps: torch.Tensor, side: int) -> torch.Tensor:
    """The place in the input (B, S, S, 2) of every output pixel; image corners are at -1 and 1.

    `torch.nn.functional.affine_grid` does the same by a matrix product, in five times the time.
    """
    centres = (2 * torch.arange(side, device=maps.device) + 1) / side - 1
    across, down, offset = maps[:, None, None].unbind(-1)
    return (across * centres[:, None] + offset) + down * centres[:, None, None]


def augmented(images: torch.Tensor, draws: torch.Tensor, symmetries: Symmetries) -> torch.Tensor:
    """Images (B, C, S, S), transformed as (B, DRAWS) numbers in [0, 1) say."""
    grid = _grid(_placements(draws, symmetries), images.shape[-1])
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
