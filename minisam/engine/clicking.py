"""Clicking with the model in the loop, until the mask is good enough or the limit of clicks is reached.

    click 1      the deepest pixel of the object
    click n + 1  the deepest pixel of the error of the mask shown, as in minisam/evaluate/clicks.py
    stop         IoU > satisfied, or the largest number of clicks

All objects of an image are processed in parallel, independently of each other.

P objects   S image size   h, w pixels of the mask logits
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from minisam.evaluate.clicks import full_size_masks, next_clicks
from minisam.masks.distance import interior_points
from minisam.masks.iou import mask_iou
from minisam.model.prompt_encoder import FOREGROUND
from minisam.predict.prompted import Prompted


@dataclass(frozen=True)
class Clicked:
    """Results for P objects: masks [P, S, S]; clicks, true IoU and predicted IoU [P]; first click [P, 2]."""

    masks: Tensor
    clicks: Tensor
    iou: Tensor
    predicted_iou: Tensor
    first_click: Tensor


def click_until_satisfied(prompted: Prompted, objects: Tensor, satisfied: float, most_clicks: int) -> Clicked:
    """Click on each of objects [P, S, S] (bool, none empty), for which `prompted` is prepared."""
    P, device = len(objects), objects.device
    click, label = interior_points(objects)[0], torch.full((P,), FOREGROUND, device=device)
    result = Clicked(
        torch.zeros_like(objects),
        torch.zeros(P, dtype=torch.int64, device=device),
        torch.zeros(P, device=device),
        torch.zeros(P, device=device),
        click,
    )
    coords, labels = click[:, None][:, :0], label[:, None][:, :0]
    feedback: Tensor | None = None
    active = torch.arange(P, device=device)
    for number in range(1, most_clicks + 1):
        if not len(active):
            break
        coords, labels = torch.cat([coords, click[:, None]], 1), torch.cat([labels, label[:, None]], 1)
        now = replace(prompted, image_index=prompted.image_index[active])
        logits, predicted = now.predict(points=(coords.float(), labels), mask_input=feedback)
        predicted, shown = predicted.max(dim=1)
        feedback = logits[torch.arange(len(shown), device=device), shown][:, None]
        masks = full_size_masks(feedback, objects.shape[-1])[:, 0]
        iou = mask_iou(masks, objects[active])
        result.masks[active], result.iou[active], result.predicted_iou[active] = masks, iou, predicted
        result.clicks[active] = number

        open_ = iou <= satisfied
        active, coords, labels, feedback = active[open_], coords[open_], labels[open_], feedback[open_]
        click, label = next_clicks(masks[open_], objects[active])
    return result
