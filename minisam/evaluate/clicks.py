"""A simulated user: clicks on an object, then repeatedly clicks where the resulting mask has its largest error.

    click 1      the deepest pixel of the object, or a random one
    click n + 1  the deepest pixel of the error, among false negatives and false positives (RITM, SAM 2):
                 foreground on a false negative, background on a false positive; if there is no error,
                 the deepest pixel of the background (of the object, if there is no background)

The first click requests three masks, all later ones mask 0.  The mask shown, the one of three with the highest
predicted IoU, is passed again as un-thresholded logits.  Masks are evaluated at the full size of the image.

P prompts   C masks per prompt   N clicks   S image size   h, w pixels of the mask logits
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.masks.distance import interior_points
from minisam.masks.iou import mask_iou
from minisam.model.prompt_encoder import BACKGROUND, FOREGROUND
from minisam.predict.prompted import Prompted


@dataclass(frozen=True)
class ClickSession:
    """The masks that the user saw: the three masks of the first click [P, 3, ...], then one mask per click, [P, N]."""

    first_click: Tensor
    """(x, y), [P, 2] int64."""
    first_masks: Tensor
    """[P, 3, S, S] bool."""
    first_iou: Tensor
    """[P, 3], true."""
    first_predicted_iou: Tensor
    """[P, 3], as predicted by the network."""
    shown_iou: Tensor
    """[P, N], true, of the mask shown after each click."""


def simulate_clicks(prompted: Prompted, targets: Tensor, first_click: Tensor, count: int) -> ClickSession:
    """`count` clicks on each of targets [P, S, S] (bool), from a first one [P, 2], int64 (x, y), on."""
    coords, labels = first_click[:, None], first_click.new_full((len(targets), 1), FOREGROUND)
    logits, predicted = prompted.predict(points=(coords.float(), labels))
    first_masks = full_size_masks(logits, targets.shape[-1])
    first_iou = mask_iou(first_masks, targets[:, None])
    prompts, shown = torch.arange(len(targets), device=targets.device), predicted.argmax(dim=1)
    logits, masks = logits[prompts, shown][:, None], first_masks[prompts, shown]

    shown_iou = [first_iou[prompts, shown]]
    for _ in range(count - 1):
        click, label = next_clicks(masks, targets)
        coords = torch.cat([coords, click[:, None]], dim=1)
        labels = torch.cat([labels, label[:, None]], dim=1)
        logits, _ = prompted.predict(points=(coords.float(), labels), mask_input=logits)
        masks = full_size_masks(logits, targets.shape[-1])[:, 0]
        shown_iou.append(mask_iou(masks, targets))
    return ClickSession(first_click, first_masks, first_iou, predicted, torch.stack(shown_iou, dim=1))


def next_clicks(masks: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Where masks [P, S, S] differ most from targets: coordinates [P, 2] int64 as (x, y), and labels [P]."""
    missed, spilled = targets & ~masks, masks & ~targets
    perfect = ~(missed | spilled).flatten(1).any(dim=1)
    everything = perfect & targets.flatten(1).all(dim=1)
    missed = torch.where(everything[:, None, None], targets, missed)
    spilled = torch.where(perfect[:, None, None], ~targets, spilled)
    points, depth = interior_points(torch.cat([missed, spilled]))
    (miss_point, spill_point), (miss_depth, spill_depth) = points.chunk(2), depth.chunk(2)
    missed_deeper = miss_depth > spill_depth
    click = torch.where(missed_deeper[:, None], miss_point, spill_point)
    return click, torch.where(missed_deeper, FOREGROUND, BACKGROUND)


def full_size_masks(logits: Tensor, size: int) -> Tensor:
    """Logits [P, C, h, w] -> masks [P, C, size, size] bool: bilinear, then > 0."""
    return F.interpolate(logits, (size, size), mode="bilinear", align_corners=False) > 0
