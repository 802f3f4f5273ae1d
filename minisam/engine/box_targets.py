"""Which box each cell has to find: of the boxes whose middle it is in, the smallest.

    middle of a box   the cells whose centre lies in the box and at most one and a half cells from its centre,
                      left or right, up or down

as FCOS's centre sampling.  A box that is too small to hold the centre of a cell takes the nearest cell.

n boxes   C cells
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.train.prompts import tight_boxes

REACH = 1.5
"""In cells."""


def assign_boxes(boxes: Tensor, centres: Tensor, cell: float) -> Tensor:
    """For boxes [n, 4] and cell centres [C, 2], all in pixels: the number of each cell's box, [C], -1 for none."""
    if not len(boxes):
        return torch.full((len(centres),), -1, dtype=torch.int64)
    corner, far_corner, x = boxes[:, None, :2], boxes[:, None, 2:], centres[None]
    inside = ((x > corner) & (x < far_corner)).all(dim=2)
    from_centre = (x - (corner + far_corner) / 2).abs().amax(dim=2)
    middle = inside & (from_centre <= REACH * cell)
    nearest = from_centre.argmin(dim=1)
    too_small = ~middle.any(dim=1)
    middle[too_small, nearest[too_small]] = True

    area = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1)
    area_if_middle = torch.where(middle, area[:, None], torch.inf)
    smallest, number = area_if_middle.min(dim=0)
    return torch.where(smallest.isfinite(), number, -1)


def boxes_of(masks: Tensor) -> Tensor:
    """Masks [n, S, S] (bool, none empty) -> boxes [n, 4] (x0, y0, x1, y1) around their pixels' outer edges."""
    return tight_boxes(masks) + torch.tensor([0.0, 0.0, 1.0, 1.0]) if len(masks) else torch.zeros(0, 4)
