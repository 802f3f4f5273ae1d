"""The boundary of a mask: its pixels near the outside, for Boundary IoU (Cheng et al. 2021).

    boundary(m) = {p ∈ m : a pixel outside m is at most d columns and d rows away}      d = 2 % of the image's diagonal

Pixels beyond the image count as outside, as in the authors' code.  Boundary IoU is the IoU of two boundaries. The IoU
of large masks hardly depends on their edges; that of their boundaries does.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

SHARE_OF_DIAGONAL = 0.02


def boundary_width(height: int, width: int, share: float = SHARE_OF_DIAGONAL) -> int:
    """d in pixels for an image, 1 or more."""
    return max(1, round(share * math.hypot(height, width)))


def boundary(mask: NDArray[np.bool_], d: int) -> NDArray[np.bool_]:
    """Mask [H, W] -> its pixels at most d from the outside, [H, W].

    The window of (2d + 1)² pixels around p is inside the mask if its sum, from four corners of a summed-area table,
    is (2d + 1)².
    """
    side = 2 * d + 1
    sums = np.pad(mask, d).cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    table = np.pad(sums, ((1, 0), (1, 0)))
    window = table[side:, side:] - table[:-side, side:] - table[side:, :-side] + table[:-side, :-side]
    return mask & (window < side**2)
