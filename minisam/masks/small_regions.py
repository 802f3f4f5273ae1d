"""Cleaning masks: small islands and holes are removed (SAM section B, "Postprocessing").

    holes    the components of the background; small ones are filled
    islands  the components of the mask; small ones are removed

segment-anything keeps the largest island if all are small; the paper drops the whole mask.
"""

from __future__ import annotations

import numpy as np

from minisam.masks.connected_components import Components, connected_components
from minisam.masks.runs import Borders, complement, merge_adjacent


def fill_small_holes(borders: Borders, size: tuple[int, int], min_area: float) -> Borders:
    """Set every 8-connected region of unset pixels smaller than `min_area`, in an image of `size` (H, W).

    A region at the border of the image counts as a hole too, as in segment-anything.  If no region is small, the
    argument itself is returned.
    """
    pixels = size[0] * size[1]
    outside = complement(borders, pixels)
    large = remove_small_islands(outside, size, min_area, keep_largest=False)
    return borders if large is outside else complement(large, pixels)


def remove_small_islands(
    borders: Borders, size: tuple[int, int], min_area: float, keep_largest: bool = True
) -> Borders:
    """Unset every 8-connected region smaller than `min_area`; if all are, keep the largest or none.

    Of several largest regions, the first in reading order is kept.  If no region is small, the argument itself is
    returned.
    """
    components = connected_components(borders, size[0])
    large = components.size >= min_area
    if large.all():
        return borders
    if keep_largest and not large.any():
        large[largest_component(components, size)] = True
    kept = large[components.label]
    return merge_adjacent(np.stack([components.start[kept], components.end[kept]], axis=1).ravel())


def largest_component(components: Components, size: tuple[int, int]) -> int:
    """The label of the component with the most pixels; of several, the first in reading order."""
    candidate = (components.size == components.size.max())[components.label]
    column, row = np.divmod(components.start[candidate], size[0])
    return int(components.label[candidate][np.lexsort((column, row))[0]])
