"""The outermost pixels of a mask, by hand."""

from __future__ import annotations

import numpy as np
import torch

from minisam.masks.boxes import tight_boxes


def test_boxes_end_in_the_outermost_pixels():
    rng = np.random.default_rng(0)
    for height, width in ((1, 1), (1, 7), (9, 1), (6, 11), (300, 4)):
        masks = rng.random((20, height, width)) < 0.1
        masks[np.arange(20), rng.integers(height, size=20), rng.integers(width, size=20)] = True
        boxes = tight_boxes(torch.from_numpy(masks))
        assert boxes.dtype == torch.float32
        for mask, box in zip(masks, boxes.tolist(), strict=True):
            y, x = np.nonzero(mask)
            assert box == [x.min(), y.min(), x.max(), y.max()]
    assert tight_boxes(torch.zeros(0, 3, 4, dtype=torch.bool)).shape == (0, 4)
