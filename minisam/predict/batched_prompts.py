"""Checks of batched prompts, tensors in the scale of the network's input: one clear error each."""

from __future__ import annotations

from torch import Tensor

from minisam.errors import PromptError
from minisam.model.batched_prompts import as_mask_logits, fault_of_shapes, fault_of_values

__all__ = ["as_mask_logits", "check_batches", "check_values"]


def check_batches(
    points: Tensor | None,
    labels: Tensor | None,
    boxes: Tensor | None,
    masks: Tensor | None,
    mask_size: tuple[int, int],
) -> None:
    """Raises PromptError for the fault that `fault_of_shapes` finds."""
    if fault := fault_of_shapes(points, labels, boxes, masks, mask_size):
        raise PromptError(fault)


def check_values(
    points: Tensor | None, labels: Tensor | None, boxes: Tensor | None, masks: Tensor | None
) -> None:
    """Raises PromptError for the fault that `fault_of_values` finds."""
    if fault := fault_of_values(points, labels, boxes, masks):
        raise PromptError(fault)
