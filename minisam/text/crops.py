"""Square crops around masks, the input of CLIP for an object (SAM section D.5).

    side   = expansion · longer side of the mask's box,   expansion ~ U(1, 2), same centre
    crop   = the square, resized; pixels outside the image are 0
    p = ½  : pixels outside the mask are 0

P masks   I images   H, W image size   S crop size
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.masks.boxes import tight_boxes

MAX_EXPANSION = 2.0


def crop_squares(masks: Tensor, expansion: Tensor | float) -> Tensor:
    """Masks [P, H, W] (bool, none empty) -> squares [P, 3]: centre x, centre y and side, in pixels.

    A pixel is a unit square: the box of the single pixel (0, 0) has its centre at (½, ½) and the side 1.
    """
    boxes = tight_boxes(masks)
    low, high = boxes[:, :2], boxes[:, 2:] + 1
    side = (high - low).amax(dim=1) * expansion
    return torch.cat([(low + high) / 2, side[:, None]], dim=1)


def cut(pictures: Tensor, squares: Tensor, size: int) -> Tensor:
    """The `squares` [P, 3] of images [P, C, H, W], one each -> [P, C, size, size]; 0 outside the image.

    A pixel of the crop is the mean over the area that it covers, which avoids aliasing when large objects are scaled
    down: crop = rows · image · columnsᵀ.
    """
    columns, rows = (
        covered_shares(squares[:, axis], squares[:, 2], size, pictures.shape[3 - axis]) for axis in (0, 1)
    )
    return rows[:, None] @ pictures @ columns.mT[:, None]


def covered_shares(centre: Tensor, side: Tensor, size: int, pixels: int) -> Tensor:
    """[P, size, pixels]: how much of each of `size` equal intervals lies in each pixel; rows sum to 1 or less."""
    edges = centre[:, None] + side[:, None] * (torch.arange(size + 1, device=side.device) / size - 0.5)
    low, high = edges[:, :-1, None], edges[:, 1:, None]
    pixel = torch.arange(pixels, device=side.device)
    return (high.minimum(pixel + 1) - low.maximum(pixel)).clamp(min=0) * size / side[:, None, None]


def masked_crops(
    images: Tensor, image_index: Tensor, masks: Tensor, expansion: Tensor | float, zero: Tensor, size: int
) -> tuple[Tensor, Tensor]:
    """Crops [P, 3, size, size] in 0 … 255 and their masks [P, size, size] (bool).

    images uint8 [I, 3, H, W]; image_index [P]; masks [P, H, W] (bool, none empty); zero [P] (bool), whether the
    pixels outside the mask are 0.
    """
    squares = crop_squares(masks, expansion)
    pictures = torch.cat([images[image_index].float(), masks[:, None].float()], dim=1)
    crops, inside = cut(pictures, squares, size).split([3, 1], dim=1)
    inside = inside[:, 0] >= inside.flatten(1).amax(dim=1).clamp(max=0.5)[:, None, None]
    return crops * (inside[:, None] | ~zero[:, None, None, None]), inside


def random_crops(
    images: Tensor, image_index: Tensor, masks: Tensor, size: int, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """`masked_crops` with the paper's random choices: expansion U(1, 2), zeroed with probability ½."""
    draws = torch.rand(2, len(masks), device=masks.device, generator=generator)
    expansion = 1 + (MAX_EXPANSION - 1) * draws[0]
    return masked_crops(images, image_index, masks, expansion, draws[1] < 0.5, size)
