"""A uniformly random pixel of a region, by the rank of its pixels: first find the row, then the column.

draw u in [0, 1);  rank = ⌊u · count⌋;  the row in which the count of pixels exceeds the rank, then the column
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.seeds import Randomness, draw


def sample_pixels(region: Tensor, generator: Randomness = None) -> Tensor:
    """A uniformly random pixel of each region [P, h, w] (bool) -> [P, 2] int64 as (x, y); (0, 0) if it is empty."""
    in_row = region.sum(dim=2, dtype=torch.int32)
    up_to_row = in_row.cumsum(dim=1, dtype=torch.int32)
    count = up_to_row[:, -1:]
    share = draw(torch.rand, count.shape, region.device, generator)
    rank = (share * count).to(torch.int32).clamp(max=(count - 1).clamp(min=0))
    y = torch.searchsorted(up_to_row, rank + 1).clamp(max=region.shape[1] - 1)
    rank_in_row = rank - (up_to_row - in_row).gather(1, y)
    row = region.gather(1, y[..., None].expand(-1, 1, region.shape[2])).squeeze(1)
    x = torch.searchsorted(row.cumsum(dim=1, dtype=torch.int32), rank_in_row + 1)
    return torch.where(count > 0, torch.cat([x, y], dim=1), 0)
