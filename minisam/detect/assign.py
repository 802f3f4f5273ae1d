"""Which true box each candidate box must find, by their IoU, and which candidates a step trains on (Ren et al. 2015).

    positive   IoU with its best target >= `positive`
    negative   IoU with every target < `negative`
    ignored    between the two
    the best   of a target, with all that are as good, is its positive too if its IoU >= `lowest`: no target is without

Of the positives and negatives, a sample is drawn: at most `share` of it positive, the rest negative.

n candidates   m targets
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.detect.boxes import box_iou

NEGATIVE, IGNORED = -1, -2


def assign_by_iou(
    candidates: Tensor,
    targets: Tensor,
    positive: float,
    negative: float,
    lowest: float,
    low_quality: bool = True,
) -> Tensor:
    """Boxes [n, 4] and [m, 4] -> the number of each candidate's target [n], NEGATIVE or IGNORED.

    `low_quality` gives every target its best candidates.  If one is the best of several targets, the last counts.
    """
    if not len(targets) or not len(candidates):
        return torch.full((len(candidates),), NEGATIVE, device=candidates.device)
    iou = box_iou(candidates, targets)
    best, number = iou.max(dim=1)
    assigned = torch.where(best >= positive, number, IGNORED)
    assigned = torch.where(best < negative, NEGATIVE, assigned)
    if low_quality:
        best_of_target = iou.amax(dim=0)
        is_best = (iou == best_of_target) & (best_of_target >= lowest)
        last = torch.where(is_best, torch.arange(len(targets), device=iou.device), -1).amax(dim=1)
        assigned = torch.where(last >= 0, last, assigned)
    return assigned


def sample(assigned: Tensor, count: int, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Places of at most `count` candidates [n] drawn at random: positive ones, and negative ones.

    `generator` is on the CPU.
    """
    positives = drawn((assigned >= 0).nonzero()[:, 0], int(count * share), generator)
    negatives = drawn((assigned == NEGATIVE).nonzero()[:, 0], count - len(positives), generator)
    return positives, negatives


def drawn(places: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """At most `count` of the places, at random."""
    if len(places) <= count:
        return places
    return places[torch.randperm(len(places), generator=generator)[:count].to(places.device)]
