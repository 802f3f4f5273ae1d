"""Many clicks on one image: batch after batch through the decoder, without waiting for the device.

A GPU executes queued work while the CPU queues more.  Reading a value back, for example to filter masks, makes the
CPU wait and cannot be recorded in a CUDA graph.  Therefore all clicks of an image are copied to the device at once,
and no value is read back before all batches of a round have been decoded.  The results of a round, logits and
predicted IoUs, use memory of a fixed size; masks are filtered between rounds.

On a CPU there is no queue, and a round is one batch.

C masks per click   h, w size of the low-resolution logits
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minisam.device import bring_to
from minisam.predict.predictor import SamPredictor

LOGITS_A_ROUND = 2**28  # 1 GiB in float32: SAM's 32 x 32 clicks are one round, 64 x 64 are four


class Round(NamedTuple):
    """R clicks [R, 2], their low-resolution logits [R, C, h, w] and predicted IoUs [R, C], on the device."""

    points: NDArray[np.float64]
    low_res: Tensor
    iou_predictions: Tensor


def decode_in_rounds(
    predictor: SamPredictor, points: NDArray[np.float64], points_per_batch: int, multimask_output: bool
) -> Iterator[Round]:
    """The masks of clicks [N, 2], in pixels of the current image."""
    device = predictor.device
    resized = torch.from_numpy(predictor.transform.apply_coords(points, predictor.original_size))
    coords = bring_to(resized, device)
    labels = torch.ones((len(points), 1), dtype=torch.int, device=device)
    step = clicks_a_round(predictor, points_per_batch, multimask_output)
    for start in range(0, len(points), step):
        own = slice(start, start + step)
        decoded = decode(predictor, coords[own], labels[own], points_per_batch, multimask_output)
        yield Round(points[own], *decoded)


def decode(
    predictor: SamPredictor, coords: Tensor, labels: Tensor, points_per_batch: int, multimask_output: bool
) -> tuple[Tensor, Tensor]:
    """Logits [R, C, h, w] and predicted IoUs [R, C] of clicks [R, 2] with labels [R, 1], all on the device.

    This must not read values back from the device: tests/predict/everything/test_click_rounds.py.
    """
    masks, ious = decode_batch(predictor, coords, labels, slice(points_per_batch), multimask_output)
    if len(coords) <= points_per_batch:
        return masks, ious
    low_res, iou_predictions = (part.new_empty(len(coords), *part.shape[1:]) for part in (masks, ious))
    for start in range(0, len(coords), points_per_batch):
        own = slice(start, start + points_per_batch)
        if start > 0:
            masks, ious = decode_batch(predictor, coords, labels, own, multimask_output)
        low_res[own], iou_predictions[own] = masks, ious
    return low_res, iou_predictions


def decode_batch(
    predictor: SamPredictor, coords: Tensor, labels: Tensor, own: slice, multimask_output: bool
) -> tuple[Tensor, Tensor]:
    return predictor.predict_low_res_torch(coords[own, None], labels[own], multimask_output=multimask_output)


def clicks_a_round(predictor: SamPredictor, points_per_batch: int, multimask_output: bool) -> int:
    """How many clicks are decoded before values are read back: whole batches, at least one."""
    if predictor.device.type == "cpu":
        return points_per_batch
    height, width = predictor.model.prompt_encoder.mask_input_size
    masks = predictor.model.mask_decoder.num_multimask_outputs if multimask_output else 1
    return max(1, LOGITS_A_ROUND // (points_per_batch * masks * height * width)) * points_per_batch
