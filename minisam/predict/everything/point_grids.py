"""The clicks of the automatic mask generator: a grid on the image, and one on each crop (SAM section B).

point (i, j) of n x n = ((i + 0.5) / n, (j + 0.5) / n)        n of crop layer l = n_0 / downscale^l
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def build_point_grid(n_per_side: int) -> NDArray[np.float64]:
    """Points [n·n, 2] as (x, y) in 0 … 1, row by row."""
    offset = 1 / (2 * n_per_side)
    side = np.linspace(offset, 1 - offset, n_per_side)
    return np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)


def build_all_layer_point_grids(
    n_per_side: int, n_layers: int, scale_per_layer: int
) -> list[NDArray[np.float64]]:
    """The grid of the whole image, and then that of each of `n_layers` layers of crops."""
    return [build_point_grid(int(n_per_side / scale_per_layer**layer)) for layer in range(n_layers + 1)]


def inside_region(points: NDArray[np.float64], region: NDArray) -> NDArray[np.bool_]:
    """Which of the points [N, 2] in pixels lie on a set (non-zero) pixel of the region [H, W]."""
    x, y = points.astype(np.int64).T
    return region[y.clip(0, region.shape[0] - 1), x.clip(0, region.shape[1] - 1)] != 0
