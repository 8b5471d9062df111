"""CutMix of whole batches on the device that trains.

Yun et al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable
Features", section 3.1 with alpha = 1, for every batch as in Table 1 of WTTF. The paper draws one
box per batch; here each image has its own, so that the share does not depend on the batch that an
image happens to be in, and a step sees many shares. Letters: B = batch, S = pixels per side.
"""

import torch

DRAWS = 3  # uniform numbers per sample: share kept, row and column of the box's centre


def boxes(draws: torch.Tensor, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the pasted boxes begin and end: (B, 2) each, rows and columns in 0..S.

    The sides of a box are those of the image times sqrt(1 - share), rounded down; the box is cut
    off where it leaves the image. With alpha = 1 the share is uniform.
    """
    length = (side * (1 - draws[:, :1]).sqrt()).long()
    centres = (side * draws[:, 1:]).long()
    first = (centres - length // 2).clamp(min=0)
    end = (centres + (length + 1) // 2).clamp(max=side)
    return first, end


def cutmix(
    images: torch.Tensor, partners: torch.Tensor, draws: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Replace a box in each image by the same box of its partner.

    Args:
        images: (B, C, S, S).
        partners: (B, C, S, S), the partner of each image. The caller chooses them among the whole
            batch, so that they do not depend on the number of workers.
        draws: (B, DRAWS) numbers in [0, 1), on the device of the images.

    Returns:
        The mixed images, and (B,) the share of its own pixels that each keeps. This is the weight
        of its own label; it is counted after the box was cut off.
    """
    side = images.shape[-1]
    first, end = boxes(draws, side)
    places = torch.arange(side, device=images.device)
    rows, columns = ((places >= first.unsqueeze(2)) & (places < end.unsqueeze(2))).unbind(1)
    inside = (rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1)
    kept = 1 - (end - first).prod(1) / side**2
    return torch.where(inside, partners, images), kept
