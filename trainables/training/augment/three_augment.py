"""3-Augment of whole batches on the device that trains.

Touvron, Cord and Jégou 2022, "DeiT III: Revenge of the ViT", as in Table 1 of WTTF: a simple random
crop, a horizontal flip, exactly one of grey, solarised and blurred, then colour jitter in an order
drawn for each image. Each operation is torchvision's, but values are not rounded to grey levels in
between. The blur's sigma begins at 0.2 px, as in the code behind Table 1; DeiT III's begins at 0.1.
Both use Pillow, which approximates the blur by three box blurs: on photographs the results differ
by about one grey level on average, more at the edges, which Pillow repeats and torchvision
reflects.

Images are (B, 3, S, S) RGB in [0, 1], fp32. Letters: B = batch, S = pixels per side.
"""

import torch
from torch.nn.functional import conv2d, pad

from trainables.data.dataset import Symmetries
from trainables.models.precision import full_precision

# uniform numbers per sample: row, column, flip, one of three, sigma, order, three factors
DRAWS = 9
SHIFT_PX = 4
BLUR_PX = 6  # the blur's reach: 3 of the largest sigma, as far as Pillow's
SIGMA_PX = (0.2, 2.0)
JITTER = 0.3
_GREY, _SOLARISED, _BLURRED = range(3)
_CONTRAST, _SATURATION = 1, 2  # places of the factors; the first is brightness


def cropped(images: torch.Tensor, shifts: torch.Tensor, mirrored: torch.Tensor) -> torch.Tensor:
    """Shift images by `shifts` (B, 2) whole pixels, then flip those that are `mirrored` (B,).

    A crop begins `shifts` pixels below and right of the image's corner. Beyond its edges the image
    is reflected, without repeating the edge pixels; S must be above any shift.
    """
    side = images.shape[-1]
    places = torch.arange(side, device=images.device) + shifts.unsqueeze(2)
    places = (side - 1) - ((side - 1) - places.abs()).abs()
    rows, columns = places.unbind(1)
    columns = torch.where(mirrored.unsqueeze(1), columns.flip(1), columns)
    pixels = (rows.unsqueeze(2) * side + columns.unsqueeze(1)).flatten(1).unsqueeze(1)
    picked = images.flatten(2).gather(2, pixels.expand(-1, images.shape[1], -1))
    return picked.view(images.shape)


def grey(images: torch.Tensor) -> torch.Tensor:
    """(B, 1, S, S) luma of ITU-R BT.601."""
    red, green, blue = images.unbind(1)
    return (0.2989 * red).add_(green, alpha=0.587).add_(blue, alpha=0.114).unsqueeze(1)


def solarised(images: torch.Tensor) -> torch.Tensor:
    """Invert values from 128 of 255 on, which makes them smaller."""
    return torch.minimum(images, 1 - images)


@full_precision
def blurred(images: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Gaussian blur with a standard deviation of `sigma` (B,) pixels; edges are reflected."""
    batch, channels, side, _ = images.shape
    taps = torch.arange(-BLUR_PX, BLUR_PX + 1, device=images.device)
    kernels = torch.softmax(-(taps / sigma.unsqueeze(1)).square() / 2, 1)
    kernels = kernels.repeat_interleave(channels, 0).view(batch * channels, 1, 1, -1)
    # every channel of every image is a group of its own, since every image has its own kernel
    planes = pad(images, (BLUR_PX,) * 4, mode="reflect").flatten(0, 1).unsqueeze(0)
    planes = conv2d(planes, kernels.mT, groups=batch * channels)
    planes = conv2d(planes, kernels, groups=batch * channels)
    return planes.view(batch, channels, side, side)


def one_of_three(images: torch.Tensor, kind: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Images made grey, solarised or blurred with `sigma` (B,) pixels, for `kind` (B,) 0, 1 or 2.

    The CPU computes for each image only what it becomes. A GPU computes all three for every image,
    since it would have to wait for the host to learn which is needed.
    """
    if images.device.type == "cpu":
        images = images.clone()
        for number in kind.unique():
            own = kind == number
            chosen = images[own]
            if number == _BLURRED:
                images[own] = blurred(chosen, sigma[own])
            else:
                images[own] = grey(chosen) if number == _GREY else solarised(chosen)
        return images
    kind = kind.view(-1, 1, 1, 1)
    changed = torch.where(kind == _SOLARISED, solarised(images), blurred(images, sigma))
    return torch.where(kind == _GREY, grey(images), changed)


def jittered(images: torch.Tensor, factors: torch.Tensor, order: torch.Tensor) -> torch.Tensor:
    """Multiply brightness, contrast and saturation by `factors` (B, 3), in each image's own order.

    `order` (B,) in 0..5 numbers the permutations of the three. They blend the image with black,
    with its mean grey and with its grey version, and clip the values to [0, 1].
    """
    first = order // 2
    second = (first + 1 + order % 2) % 3
    for kind in (first, second, 3 - first - second):
        factor = factors.gather(1, kind.unsqueeze(1)).view(-1, 1, 1, 1)
        luma, kind = grey(images), kind.view(-1, 1, 1, 1)
        target = luma * (kind == _SATURATION)
        target += luma.mean((1, 2, 3), keepdim=True) * (kind == _CONTRAST)
        images = torch.addcmul(target * (1 - factor), images, factor).clamp_(0, 1)
    return images


def augmented(images: torch.Tensor, draws: torch.Tensor, symmetries: Symmetries) -> torch.Tensor:
    """Images (B, 3, S, S), changed as (B, DRAWS) numbers in [0, 1) on their device say.

    They are flipped only if `symmetries` allow it: a mirror turns some classes into others.

    Raises:
        ValueError: images that are not square RGB of at least 7 pixels per side.
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3]:
        raise ValueError(f"3-Augment takes (B, 3, S, S) images, given {tuple(images.shape)}")
    if images.shape[-1] <= BLUR_PX:
        raise ValueError(
            f"3-Augment reflects {BLUR_PX} pixels at the edges, so images need at least "
            f"{BLUR_PX + 1} pixels per side, given {images.shape[-1]}"
        )
    row, column, mirror, one, sigma, order = draws[:, :-3].unbind(1)
    shifts = torch.stack((row, column), 1).mul(2 * SHIFT_PX + 1).long() - SHIFT_PX
    images = cropped(images, shifts, (mirror < 0.5) & symmetries.horizontal_flip)
    sigma = SIGMA_PX[0] + (SIGMA_PX[1] - SIGMA_PX[0]) * sigma
    images = one_of_three(images, (3 * one).long(), sigma)
    return jittered(images, 1 + JITTER * (2 * draws[:, -3:] - 1), (6 * order).long())
