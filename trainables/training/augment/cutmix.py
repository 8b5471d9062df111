"""CutMix of whole batches on the device that trains.

Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
Features", section 3.1 with alpha = 1, for every batch as in Table 1 of WTTF. Each image
has a box of its own, where the paper draws one a batch: the share is then no property of the batch
that an image happens to be in, and a step sees many shares. B batch, S pixels a side.
"""

import torch

DRAWS = 3  # uniform numbers a sample: share kept, row and column of the box's centre


def boxes(draws: torch.Tensor, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """First and end pixel, (B, 2) each in 0..S for row and column, of the pasted boxes.

    A box has the sides of the image times sqrt(1 - share), rounded down, and is cut off where it
    leaves the image. With alpha = 1 the share is uniform.
    """
    length = (side * (1 - draws[:, :1]).sqrt()).long()
    centres = (side * draws[:, 1:]).long()
    first = (centres - length // 2).clamp(min=0)
    end = (centres + (length + 1) // 2).clamp(max=side)
    return first, end


def cutmix(
    images: torch.Tensor, partners: torch.Tensor, draws: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """A box of each image replaced by what its partner has there.

    `images` and `partners` (B, C, S, S), `draws` (B, DRAWS) numbers in [0, 1), all on one device.
    Returns the mixed images and (B,) the share of its own pixels that each keeps, which is the
    weight of its own label: counted in the image, after the box was cut off. Who is whose partner
    is for the caller to say, of the whole batch, lest it depend on the number of workers.
    """
    side = images.shape[-1]
    first, end = boxes(draws, side)
    places = torch.arange(side, device=images.device)
    rows, columns = ((places >= first.unsqueeze(2)) & (places < end.unsqueeze(2))).unbind(1)
    inside = (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)
    kept = 1 - (end - first).prod(1) / side**2
    return torch.where(inside, partners, images), kept
