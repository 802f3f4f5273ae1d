"""The loss of RSPrompter-query at one point of its decoder.

    2 · cross-entropy, "no object" with weight 0.1, divided by the sum of weights
    + [5 · BCE + 5 · dice] of the fine masks + the same of the coarse ones, of matched queries

Masks are compared at points: of three times as many random ones those where the fine mask is most uncertain make up
three quarters, the others are random (Kirillov et al. 2020, PointRend).  Both masks use the same points.

n matched queries   P points
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.adapt.rsprompter.query_matching import values_at
from minisam.distributed import summed

CLASS_WEIGHT, BCE_WEIGHT, DICE_WEIGHT = 2.0, 5.0, 5.0
NO_OBJECT_WEIGHT = 0.1
OVERSAMPLED, UNCERTAIN_SHARE = 3, 0.75


def class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Logits [B, Q, C + 1] and labels [B, Q], C for no object; with several processes, this process's part."""
    weights = torch.ones(logits.shape[2], device=logits.device)
    weights[-1] = NO_OBJECT_WEIGHT
    total = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), weights, reduction="sum")
    return CLASS_WEIGHT * total / summed(weights[labels].sum())


def uncertain_points(logits: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Points [n, count, 2] where masks [n, h, w], as logits, are near 0; `generator` is on the CPU."""
    random = torch.rand((len(logits), OVERSAMPLED * count, 2), generator=generator).to(logits.device)
    certainty = values_at(logits.detach().float(), random).abs()
    most = int(UNCERTAIN_SHARE * count)
    nearest = certainty.topk(most, dim=1, largest=False).indices
    chosen = random.gather(1, nearest[..., None].expand(-1, -1, 2))
    others = torch.rand((len(logits), count - most, 2), generator=generator).to(logits.device)
    return torch.cat([chosen, others], dim=1)


def point_mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """5 · BCE + 5 · dice at points, both [n, P]; divided by the number of masks in all processes."""
    count = summed(torch.tensor(float(len(logits)), device=logits.device)).clamp(min=1)
    bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)
    p = logits.sigmoid()
    dice = 1 - (2 * (p * targets).sum(dim=1) + 1) / (p.sum(dim=1) + targets.sum(dim=1) + 1)
    return (BCE_WEIGHT * bce + DICE_WEIGHT * dice).sum() / count
