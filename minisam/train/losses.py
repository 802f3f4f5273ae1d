"""The training loss: 20 focal + 1 dice + 1 IoU, through the best of the three masks (SAM section A, "Losses").

    focal = mean over pixels of  α_t · |t − p|^γ · BCE(p, t)        α_t = α·t + (1 − α)·(1 − t), α = 0.25, γ = 2
    dice  = 1 − (2 Σ p·t + 1) / (Σ p + Σ t + 1)
    IoU   = (predicted IoU − IoU(logits > 0, target))²

Targets t may lie between 0 and 1: the share of a low-resolution pixel that the mask covers.  For hard targets
|t − p| is 1 − p_t and the focal loss is the usual one (Lin et al. 2017).

P prompts   M masks per prompt   h, w pixels of the mask logits
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.masks.iou import mask_iou

FOCAL_WEIGHT = 20.0
DICE_WEIGHT = 1.0
IOU_WEIGHT = 1.0


def focal_loss(logits: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """[..., h, w] and targets in [0, 1] of a shape that broadcasts -> [...], the mean over pixels."""
    targets = targets.expand_as(logits)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    balance = (1 - alpha) + (2 * alpha - 1) * targets
    return (balance * (targets - logits.sigmoid()).abs() ** gamma * cross_entropy).mean(dim=(-2, -1))


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """[..., h, w] and targets in [0, 1] of a shape that broadcasts -> [...]."""
    probabilities = logits.sigmoid()
    overlap = (probabilities * targets).sum(dim=(-2, -1))
    total = probabilities.sum(dim=(-2, -1)) + targets.sum(dim=(-2, -1))
    return 1 - (2 * overlap + 1) / (total + 1)


class SegmentationLoss(NamedTuple):
    """Mean losses, and the true IoU of every mask [P, M] and of the first-ranked one [P], for the metrics."""

    total: Tensor
    focal: Tensor
    dice: Tensor
    iou: Tensor
    true_iou: Tensor
    shown_iou: Tensor


IouLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Predicted IoU [P, M], true IoU [P, M] and the mask that is trained [P] -> the mean loss."""


def squared_error_of_all(predicted: Tensor, true: Tensor, trained: Tensor) -> Tensor:
    """The IoU loss over all M masks, independent of `trained`."""
    return F.mse_loss(predicted, true)


def segmentation_loss(
    logits: Tensor, iou_predictions: Tensor, targets: Tensor, iou_loss: IouLoss = squared_error_of_all
) -> SegmentationLoss:
    """The loss of one round: logits [P, M, h, w], predicted IoU [P, M], targets [P, h, w] in [0, 1].

    Of M masks only the one with the smallest 20·focal + dice is trained.  The predicted IoU is trained for all M,
    because it has to rank them.  `iou_loss` can be replaced, for experiment E2, which trains it only for the winner.
    """
    logits, targets = logits.float(), targets.float()[:, None]
    focal, dice = focal_loss(logits, targets), dice_loss(logits, targets)
    best = (FOCAL_WEIGHT * focal + DICE_WEIGHT * dice).detach().argmin(dim=1)
    with torch.no_grad():
        true_iou = mask_iou(logits > 0, targets > 0.5)
    focal = focal.gather(1, best[:, None]).mean()
    dice = dice.gather(1, best[:, None]).mean()
    iou = iou_loss(iou_predictions.float(), true_iou, best)
    total = FOCAL_WEIGHT * focal + DICE_WEIGHT * dice + IOU_WEIGHT * iou
    shown_iou = true_iou.gather(1, iou_predictions.argmax(dim=1, keepdim=True)).squeeze(1)
    return SegmentationLoss(total, focal, dice, iou, true_iou, shown_iou)


def full_size_loss(logits: Tensor, iou_predictions: Tensor, targets: Tensor) -> SegmentationLoss:
    """`segmentation_loss` of logits enlarged to the size of the targets [P, S, S], as a user sees them.

    Wires and other thin objects are lost in low-resolution targets; here they are not.
    """
    logits = F.interpolate(logits.float(), targets.shape[-2:], mode="bilinear", align_corners=False)
    return segmentation_loss(logits, iou_predictions, targets)
