"""Non-maximum suppression: of boxes that overlap, the best one is kept.

    go through the boxes by falling score; keep one unless it overlaps a kept one by IoU > threshold

Equal scores keep their order.  Two boxes without an area have no IoU (0 / 0), and both are kept. These are
torchvision's rules, on which segment-anything's results depend.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def box_nms(boxes: ArrayLike, scores: ArrayLike, iou_threshold: float) -> NDArray[np.int64]:
    """Boxes [N, 4] as (x0, y0, x1, y1) and scores [N] -> the indices kept, best score first.

    IoU in float32, compared with the threshold in float64.
    """
    order = np.argsort(-np.asarray(scores), kind="stable")
    x0, y0, x1, y1 = np.asarray(boxes, np.float32).reshape(-1, 4)[order].T
    areas = (x1 - x0) * (y1 - y0)
    threshold = np.float64(iou_threshold)
    alive = np.ones(len(order), bool)
    for best in range(len(order)):
        if not alive[best]:
            continue
        rest = slice(best + 1, None)
        width = np.minimum(x1[rest], x1[best]) - np.maximum(x0[rest], x0[best])
        height = np.minimum(y1[rest], y1[best]) - np.maximum(y0[rest], y0[best])
        overlap = np.maximum(width, 0) * np.maximum(height, 0)
        with np.errstate(invalid="ignore"):
            iou = overlap / (areas[best] + areas[rest] - overlap)
        alive[rest] &= ~(iou > threshold)
    return order[alive]
