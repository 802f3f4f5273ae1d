"""How deep inside a mask each pixel lies: the exact Euclidean distance transform, one axis after the other.

    depth²(y, x) = min over outside pixels (y', x') of (y − y')² + (x − x')²
                 = min over shifts k of column²(y, x ± k) + k²

where column(y, x) is the distance to the nearest outside pixel directly above or below.  Shifts larger than the depth
do not matter, and the depth is at most the distance straight up, down, left or right. A row of pixels is processed
only up to its largest bound, and a row without mask pixels not at all.  Thin regions, for example the errors of a
good mask, are therefore fast.

Pixels beyond the image border count as outside, as in RITM (Sofiiuk et al. 2021) and SAM 2.
"""

from __future__ import annotations

import torch
from torch import Tensor


def squared_distance_transform(masks: Tensor) -> Tensor:
    """Masks [P, H, W] (bool) -> int32: squared distance in pixels to the nearest pixel outside, 0 there."""
    P, H, W = masks.shape
    squared = torch.zeros((P * H, W), dtype=torch.int32, device=masks.device)
    rows = masks.flatten(0, 1).any(dim=1).nonzero().squeeze(1)
    if len(rows) == 0:
        return squared.unflatten(0, (P, H))
    column = distance_along_first(masks.transpose(0, 1)).transpose(0, 1).flatten(0, 1)[rows]
    sideways = distance_along_first(masks.flatten(0, 1)[rows].T.contiguous()).T
    bound = torch.minimum(column, sideways)

    reach, by_reach = bound.amax(dim=1).sort(descending=True)
    bound, column = bound[by_reach].int(), column[by_reach].int()
    nearest, column_squared = bound * bound, column * column
    shifts = torch.arange(1, int(reach[0]) + 1, device=masks.device)
    in_reach = (reach >= shifts[:, None]).sum(dim=1).tolist()
    for shift, count in enumerate(in_reach, start=1):
        active, candidate = nearest[:count], column_squared[:count] + shift**2
        torch.minimum(active[:, shift:], candidate[:, :-shift], out=active[:, shift:])
        torch.minimum(active[:, :-shift], candidate[:, shift:], out=active[:, :-shift])
    return squared.index_copy_(0, rows[by_reach], nearest).unflatten(0, (P, H))


def distance_along_first(masks: Tensor) -> Tensor:
    """Masks [L, ...] (bool) -> int16: steps along the first axis to the nearest place outside."""
    forwards, backwards = masks.to(torch.int16), masks.to(torch.int16)
    for i in range(1, len(masks)):
        forwards[i] += forwards[i - 1] * forwards[i]
        backwards[-1 - i] += backwards[-i] * backwards[-1 - i]
    return torch.minimum(forwards, backwards)


def interior_points(masks: Tensor) -> tuple[Tensor, Tensor]:
    """The deepest pixel of each mask [P, H, W] (bool): (x, y) [P, 2] int64 and its squared depth [P] int32.

    Of several, the first in reading order; (0, 0) and 0 for an empty mask.
    """
    depth, index = squared_distance_transform(masks).flatten(1).max(dim=1)
    return torch.stack([index % masks.shape[2], index // masks.shape[2]], dim=1), depth
