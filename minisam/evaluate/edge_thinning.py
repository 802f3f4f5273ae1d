"""Edge non-maximum suppression: only the crest of a thick edge is kept (Canny 1986).

    normal of the edge = the direction in which the smoothed strength curves down most
                       = the lower eigenvector of its Hessian  [E_xx E_xy; E_xy E_yy]
    keep a pixel       where  E(p) > E(p − normal)  and  E(p) >= E(p + normal),  bilinear in between

With > on one side and >= on the other, one of two equally strong neighbouring pixels is kept.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

SMOOTHING = (1.0, 4.0, 6.0, 4.0, 1.0)
ANGLE_STEPS = 1024
"""Normals are rounded to this fraction of a pixel, which makes those along a row or column exact."""


def thin_edges(strength: Tensor) -> Tensor:
    """Strengths [H, W] >= 0 -> the same on the crests, 0 elsewhere."""
    normal_x, normal_y = crest_normals(strength)
    behind = sample(strength, -normal_x, -normal_y)
    ahead = sample(strength, normal_x, normal_y)
    return torch.where((strength > behind) & (strength >= ahead), strength, 0)


def crest_normals(strength: Tensor) -> tuple[Tensor, Tensor]:
    """x and y of the unit vector across the edge at each pixel, [H, W]; it points right, or straight down.

    The eigenvectors of a symmetric 2 × 2 matrix lie at the angle φ = atan2(2 E_xy, E_xx − E_yy) / 2, for the
    upper eigenvalue, and φ + 90° for the lower one.
    """
    across = strength.new_tensor(SMOOTHING) / sum(SMOOTHING)
    padded = F.pad(strength[None, None], (3, 3, 3, 3), mode="replicate")
    smooth = F.conv2d(F.conv2d(padded, across.view(1, 1, 1, -1)), across.view(1, 1, -1, 1))[0, 0]
    centre = smooth[1:-1, 1:-1]
    xx = smooth[1:-1, 2:] - 2 * centre + smooth[1:-1, :-2]
    yy = smooth[2:, 1:-1] - 2 * centre + smooth[:-2, 1:-1]
    xy = (smooth[2:, 2:] - smooth[2:, :-2] - smooth[:-2, 2:] + smooth[:-2, :-2]) / 4
    upper = torch.atan2(2 * xy, xx - yy) / 2
    x, y = ((part * ANGLE_STEPS).round() / ANGLE_STEPS for part in (-upper.sin(), upper.cos()))
    backwards = (x < 0) | ((x == 0) & (y < 0))
    return torch.where(backwards, -x, x), torch.where(backwards, -y, y)


def sample(picture: Tensor, shift_x: Tensor, shift_y: Tensor) -> Tensor:
    """`picture` [H, W] at every pixel moved by the shifts, within -1 … 1, bilinear; border pixels repeat outside."""
    H, W = picture.shape
    padded = F.pad(picture[None, None], (1, 2, 1, 2), mode="replicate")[0, 0]
    rows, columns = torch.arange(H, device=picture.device)[:, None], torch.arange(W, device=picture.device)
    y, x = shift_y.floor(), shift_x.floor()
    row, column = rows + 1 + y.long(), columns + 1 + x.long()
    top = torch.lerp(padded[row, column], padded[row, column + 1], shift_x - x)
    bottom = torch.lerp(padded[row + 1, column], padded[row + 1, column + 1], shift_x - x)
    return torch.lerp(top, bottom, shift_y - y)
