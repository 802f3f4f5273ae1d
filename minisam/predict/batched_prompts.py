"""Checks of batched prompts, tensors in the scale of the network's input: one clear error each.

B prompts   N points   n boxes of one prompt   h, w a mask prompt's size
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.errors import PromptError
from minisam.predict.given_numbers import check_finite
from minisam.predict.prompts import BOOLEAN_LOGIT

LABELS = (-1.0, 0.0, 1.0, 2.0, 3.0)


def check_batches(
    points: Tensor | None,
    labels: Tensor | None,
    boxes: Tensor | None,
    masks: Tensor | None,
    mask_size: tuple[int, int],
) -> None:
    """Points [B, N, 2] with labels [B, N], boxes [4], [B, 4] or [B, n, 4], masks [B, 1, h, w], `mask_size` (h, w).

    Raises PromptError for another shape, and where the numbers of prompts differ; one mask may serve all.
    """
    if (points is None) != (labels is None):
        raise PromptError(
            "points need labels and labels need points: give both point_coords and point_labels"
        )
    batches = {}
    if points is not None and labels is not None:
        if points.dim() != 3 or points.shape[2] != 2:
            raise PromptError(f"point_coords must have the shape (B, N, 2), got {tuple(points.shape)}")
        if labels.dim() != 2 or labels.shape[1] != points.shape[1] or len(labels) not in (1, len(points)):
            raise PromptError(
                f"point_labels must have the shape {tuple(points.shape[:2])}, one label a point, "
                f"got {tuple(labels.shape)}"
            )
        batches["point_coords"] = len(points)
    if boxes is not None:
        if boxes.dim() not in (1, 2, 3) or boxes.shape[-1] != 4:
            raise PromptError(f"boxes must have the shape (B, 4) or (B, n, 4), got {tuple(boxes.shape)}")
        batches["boxes"] = 1 if boxes.dim() == 1 else len(boxes)
    if masks is not None:
        if masks.dim() != 4 or tuple(masks.shape[1:]) != (1, *mask_size):
            h, w = mask_size
            raise PromptError(f"mask_input must have the shape (B, 1, {h}, {w}), got {tuple(masks.shape)}")
        if len(masks) != 1:
            batches["mask_input"] = len(masks)
    if len(set(batches.values())) > 1:
        counted = ", ".join(f"{name} {count}" for name, count in batches.items())
        raise PromptError(
            f"the numbers of prompts differ ({counted}); give one of each kind for every prompt"
        )


def check_values(
    points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, masks: Tensor | None
) -> None:
    """Raises PromptError for values that are not finite, and labels of no kind of point.

    On a GPU it waits for the device.
    """
    for name, given in (("point_coords", points), ("boxes", boxes), ("mask_input", masks)):
        check_finite(given, name)
    if (
        labels is not None
        and not torch.isin(labels.float(), torch.tensor(LABELS, device=labels.device)).all()
    ):
        raise PromptError(
            "point_labels must be 1 (foreground), 0 (background), -1 (padding), or 2 and 3 (corners of a box)"
        )


def as_mask_logits(masks: Tensor) -> Tensor:
    """[B, 1, h, w], or [1, h, w] for one prompt -> [B, 1, h, w]; booleans become logits of −10 and 10."""
    masks = masks[None] if masks.dim() == 3 else masks
    return (2 * masks.float() - 1) * BOOLEAN_LOGIT if masks.dtype == torch.bool else masks
