"""The fault of batched prompts, tensors in the scale of the network's input: one line, or None.

B prompts   N points   n boxes of one prompt   h, w a mask prompt's size
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

BOOLEAN_LOGIT = 10
LABELS = (-1.0, 0.0, 1.0, 2.0, 3.0)
OTHER_NAMES = {
    "box": "boxes",
    "mask_input": "mask_inputs",
    "points": "point_coords",
    "labels": "point_labels",
}


def fault_of_shapes(
    points: Tensor | None,
    labels: Tensor | None,
    boxes: Tensor | None,
    masks: Tensor | None,
    mask_size: tuple[int, int],
) -> str | None:
    """Points [B, N, 2] with labels [B, N], boxes [4], [B, 4] or [B, n, 4], masks [B, 1, h, w], `mask_size` (h, w).

    Other shapes and differing numbers of prompts are faults; one mask may be used for all prompts.
    """
    if (points is None) != (labels is None):
        return "points need labels and labels need points: give both point_coords and point_labels"
    batches = {}
    if points is not None and labels is not None:
        if points.dim() != 3 or points.shape[2] != 2:
            return f"point_coords must have the shape (B, N, 2), got {tuple(points.shape)}"
        if labels.dim() != 2 or labels.shape[1] != points.shape[1] or len(labels) not in (1, len(points)):
            return (
                f"point_labels must have the shape {tuple(points.shape[:2])}, one label per point, "
                f"got {tuple(labels.shape)}"
            )
        batches["point_coords"] = len(points)
    if boxes is not None:
        if boxes.dim() not in (1, 2, 3) or boxes.shape[-1] != 4:
            return f"boxes must have the shape (B, 4) or (B, n, 4), got {tuple(boxes.shape)}"
        batches["boxes"] = 1 if boxes.dim() == 1 else len(boxes)
    if masks is not None:
        if masks.dim() != 4 or tuple(masks.shape[1:]) != (1, *mask_size):
            h, w = mask_size
            return f"mask_input must have the shape (B, 1, {h}, {w}), got {tuple(masks.shape)}"
        if len(masks) != 1:
            batches["mask_input"] = len(masks)
    if len(set(batches.values())) > 1:
        counted = ", ".join(f"{name} {count}" for name, count in batches.items())
        return f"the numbers of prompts differ ({counted}); give one of each kind for every prompt"
    return None


def fault_of_values(
    points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, masks: Tensor | None
) -> str | None:
    """Values that are not finite, which give empty masks, and unknown labels.

    On a GPU this waits for the device.
    """
    for name, given in (("point_coords", points), ("boxes", boxes), ("mask_input", masks)):
        if given is not None and not is_finite(given):
            return f"{name} has values that are not finite (NaN or infinity)"
    if labels is None or torch.isin(labels.float(), torch.tensor(LABELS, device=labels.device)).all():
        return None
    return "point_labels must be 1 (foreground), 0 (background), -1 (padding), or 2 and 3 (corners of a box)"


def fault_of_record(record: Any, mask_size: tuple[int, int]) -> str | None:
    """A record of `Sam.forward`."""
    if not isinstance(record, Mapping):
        return f"a record is a dictionary with image and original_size, got a {type(record).__name__}"
    for name in ("image", "original_size"):
        if name not in record:
            return f"a record needs {name}: image [3, H, W] at the network's scale, original_size (H, W)"
    for name, right in OTHER_NAMES.items():
        if name in record:
            return f"a record's {right} are called {right}, not {name}"
    prompts = {name: record.get(name) for name in ("point_coords", "point_labels", "boxes", "mask_inputs")}
    for name, given in {"image": record["image"], **prompts}.items():
        if given is not None and not isinstance(given, Tensor):
            return f"{name} must be a tensor, got a {type(given).__name__}; use torch.as_tensor"
    image = record["image"]
    if image.dim() != 3 or image.shape[0] != 3:
        return f"image must have the shape (3, H, W), got {tuple(image.shape)}"
    if not is_finite(image):
        return "image has values that are not finite (NaN or infinity)"
    if not is_size(record["original_size"]):
        return f"original_size must be (H, W), two whole numbers above 0, got {record['original_size']!r}"
    points, labels, boxes, masks = prompts.values()
    masks = None if masks is None else as_mask_logits(masks)
    return fault_of_shapes(points, labels, boxes, masks, mask_size) or fault_of_values(
        points, labels, boxes, masks
    )


def is_size(given: Any) -> bool:
    """Whether this is (H, W), in integers of any kind."""
    try:
        return len(given) == 2 and all(operator.index(side) > 0 for side in given)
    except TypeError:
        return False


def as_mask_logits(masks: Tensor) -> Tensor:
    """[B, 1, h, w], or [1, h, w] for one prompt -> [B, 1, h, w]; booleans become logits of −10 and 10."""
    masks = masks[None] if masks.dim() == 3 else masks
    return (2 * masks.float() - 1) * BOOLEAN_LOGIT if masks.dtype == torch.bool else masks


def is_finite(tensor: Tensor) -> bool:
    return not tensor.is_floating_point() or bool(tensor.isfinite().all())
