"""The loss of the region proposal network (Ren et al. 2015, equation 1).

Σ over sampled anchors BCE(score, is positive) / sampled  +  Σ over positives SmoothL1(deltas − δ of target) / sampled
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.detect.assign import assign_by_iou, sample
from minisam.detect.box_coding import encode_boxes
from minisam.detect.region_proposals import AnchorPredictions, ProposalRecipe
from minisam.distributed import summed


class ProposalLoss(NamedTuple):
    """The two terms; with several processes, their sums over the processes."""

    score: Tensor
    box: Tensor


def region_proposal_loss(
    predicted: AnchorPredictions,
    targets: list[Tensor],
    recipe: ProposalRecipe,
    generators: list[torch.Generator],
) -> ProposalLoss:
    """For the true boxes of each image, B times [m, 4], m may be 0, and a generator on the CPU for each image."""
    score, box = predicted.scores.sum() * 0, predicted.deltas.sum() * 0
    sampled = 0
    for image, (boxes, generator) in enumerate(zip(targets, generators, strict=True)):
        assigned = assign_by_iou(
            predicted.anchors, boxes, recipe.positive, recipe.negative, lowest=recipe.negative
        )
        positives, negatives = sample(assigned, recipe.sampled, recipe.share, generator)
        chosen = torch.cat([positives, negatives])
        sampled += len(chosen)
        is_positive = (torch.arange(len(chosen), device=chosen.device) < len(positives)).float()
        score = score + F.binary_cross_entropy_with_logits(
            predicted.scores[image][chosen], is_positive, reduction="sum"
        )
        if len(positives):
            wanted = encode_boxes(boxes[assigned[positives]], predicted.anchors[positives])
            box = box + F.smooth_l1_loss(predicted.deltas[image][positives], wanted, reduction="sum")
    count = summed(torch.tensor(float(sampled), device=score.device)).clamp(min=1)
    return ProposalLoss(score / count, box / count)
