"""The tight box of a mask: its first and last column and row."""

from __future__ import annotations

import torch
from torch import Tensor


def tight_boxes(masks: Tensor) -> Tensor:
    """Masks [P, H, W] (bool, none empty) -> [P, 4] as (x0, y0, x1, y1): the outermost pixels."""
    columns, rows = masks.any(dim=1), masks.any(dim=2)
    x0, y0 = columns.byte().argmax(dim=1), rows.byte().argmax(dim=1)
    x1 = masks.shape[2] - 1 - columns.flip(1).byte().argmax(dim=1)
    y1 = masks.shape[1] - 1 - rows.flip(1).byte().argmax(dim=1)
    return torch.stack([x0, y0, x1, y1], dim=1).float()
