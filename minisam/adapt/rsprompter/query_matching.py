"""Which query learns which object: the matching with the smallest sum of costs (RSPrompter; Mask2Former).

    cost = 2 · (−p(class)) + 5 · BCE + 5 · dice        of the coarse masks, at the same random points for all pairs

Queries that are not matched learn "no object".  With more objects than queries, the rest of the objects teach nothing.

Q queries   m objects   P points
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.detect.hungarian import cheapest_matching

CLASS_COST, BCE_COST, DICE_COST = 2.0, 5.0, 5.0


def values_at(maps: Tensor, points: Tensor) -> Tensor:
    """Maps [n, h, w] at points [P, 2] or [n, P, 2], (x, y) from 0 to 1 -> [n, P], bilinear, 0 outside."""
    grid = (points * 2 - 1).expand(len(maps), -1, -1)[:, None]
    return F.grid_sample(maps[:, None], grid, align_corners=False)[:, 0, 0]


@torch.no_grad()
def match_queries(
    logits: Tensor, coarse: Tensor, labels: Tensor, masks: Tensor, points: Tensor
) -> tuple[Tensor, Tensor]:
    """The pairs of one image: queries, and the objects that they match.

    logits [Q, C + 1], coarse [Q, h, w]; labels [m] and masks [m, H, W] of the objects; points [P, 2].  Raises
    MinisamError if a cost is not finite.
    """
    if not len(labels):
        none = labels.new_zeros(0)
        return none, none
    predicted, wanted = values_at(coarse.float(), points), values_at(masks.float(), points)
    of_class = -logits.softmax(dim=1)[:, labels]
    cost = (
        CLASS_COST * of_class
        + BCE_COST * pairwise_bce(predicted, wanted)
        + DICE_COST * pairwise_dice(predicted, wanted)
    )
    queries, objects = cheapest_matching(cost.cpu().numpy())
    return torch.from_numpy(queries).to(labels.device), torch.from_numpy(objects).to(labels.device)


def pairwise_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """[Q, P] and [m, P] -> [Q, m], the mean over points."""
    inside, outside = F.softplus(-logits), F.softplus(logits)
    return (inside @ targets.T + outside @ (1 - targets).T) / logits.shape[1]


def pairwise_dice(logits: Tensor, targets: Tensor) -> Tensor:
    """[Q, P] and [m, P] -> [Q, m], with 1 added above and below."""
    p = logits.sigmoid()
    return 1 - (2 * p @ targets.T + 1) / (p.sum(dim=1)[:, None] + targets.sum(dim=1) + 1)
