"""The masks of one prompt as JSON."""

from __future__ import annotations

import numpy as np


def mask_records(masks: np.ndarray, iou_predictions: np.ndarray) -> list[dict]:
    """One JSON record per mask: COCO run-length encoding, area in pixels, box (x, y, width, height), predicted IoU."""
    from minisam.masks.rle import compress_rle, encode_rle

    records = []
    for mask, iou in zip(masks, iou_predictions, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = [0, 0, 0, 0]
        if len(rows):
            box = [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
        records.append(
            {
                "segmentation": compress_rle(encode_rle(mask)),
                "area": int(mask.sum()),
                "bbox": box,
                "predicted_iou": float(iou),
            }
        )
    return records
