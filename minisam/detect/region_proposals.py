"""The region proposal network: where in an image an object of any class may be (Ren et al. 2015, section 3.1).

    each level of the pyramid:  3 × 3 -> ReLU -> 1 × 1: a score per anchor;  1 × 1: four box deltas per anchor
    proposals:  the best anchors of each level -> decode -> clip -> NMS in each level -> the best of all levels

B images   L levels   N anchors of all levels together   n proposals
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from minisam.detect.anchors import grid_anchors
from minisam.detect.box_coding import decode_deltas
from minisam.detect.boxes import clip_boxes, kept_by_nms

INITIAL_STD = 0.01


@dataclass(frozen=True)
class ProposalRecipe:
    """The anchors, what is trained on them, and how many proposals are kept; defaults are RSPrompter's."""

    scales: tuple[float, ...] = (4.0, 8.0)
    ratios: tuple[float, ...] = (0.5, 1.0, 2.0)
    positive: float = 0.7
    negative: float = 0.3
    sampled: int = 256
    share: float = 0.5
    """The largest share of positives among the sampled anchors."""
    per_level: int = 2000
    per_level_in_test: int = 1000
    nms_threshold: float = 0.7
    kept: int = 1000


class AnchorPredictions(NamedTuple):
    """For all anchors: logits [B, N], deltas [B, N, 4], the anchors themselves [N, 4], and each one's level [N]."""

    scores: Tensor
    deltas: Tensor
    anchors: Tensor
    level: Tensor


class RegionProposalNetwork(nn.Module):
    """A pyramid of maps [B, channels, h, w] -> AnchorPredictions; one head for all levels."""

    def __init__(self, channels: int, recipe: ProposalRecipe) -> None:
        super().__init__()
        self.recipe = recipe
        anchors = len(recipe.scales) * len(recipe.ratios)
        self.body = nn.Conv2d(channels, channels, 3, padding=1)
        self.score = nn.Conv2d(channels, anchors, 1)
        self.deltas = nn.Conv2d(channels, 4 * anchors, 1)
        for layer in (self.body, self.score, self.deltas):
            nn.init.normal_(layer.weight, std=INITIAL_STD)
            nn.init.zeros_(layer.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, pyramid: Sequence[Tensor], strides: Sequence[float]) -> AnchorPredictions:
        """`strides` in pixels, one per level."""
        scores, deltas, anchors, level = [], [], [], []
        for number, (features, stride) in enumerate(zip(pyramid, strides, strict=True)):
            hidden = self.body(features).relu()
            scores.append(self.score(hidden).permute(0, 2, 3, 1).flatten(1))
            deltas.append(self.deltas(hidden).permute(0, 2, 3, 1).reshape(len(features), -1, 4))
            grid = features.shape[2], features.shape[3]
            anchors.append(
                grid_anchors(grid, stride, self.recipe.scales, self.recipe.ratios, features.device)
            )
            level.append(torch.full((len(anchors[-1]),), number, device=features.device))
        return AnchorPredictions(
            torch.cat(scores, dim=1), torch.cat(deltas, dim=1), torch.cat(anchors), torch.cat(level)
        )

    def proposals(self, predicted: AnchorPredictions, image: int, size: tuple[int, int]) -> Tensor:
        """The boxes [n, 4] of one image of `size` (H, W), best first, without gradient; n may be 0."""
        recipe = self.recipe
        scores, deltas = predicted.scores[image].detach(), predicted.deltas[image].detach()
        most = recipe.per_level if self.training else recipe.per_level_in_test
        boxes, own_scores = [], []
        for number in range(int(predicted.level.max()) + 1):
            of_level = (predicted.level == number).nonzero()[:, 0]
            best = of_level[scores[of_level].argsort(descending=True, stable=True)[:most]]
            decoded = clip_boxes(decode_deltas(deltas[best], predicted.anchors[best]), size)
            has_area = (decoded[:, 2:] > decoded[:, :2]).all(dim=1) & scores[best].isfinite()
            decoded, best = decoded[has_area], best[has_area]
            kept = kept_by_nms(decoded, scores[best], recipe.nms_threshold)
            boxes.append(decoded[kept])
            own_scores.append(scores[best][kept])
        order = torch.cat(own_scores).argsort(descending=True, stable=True)[: recipe.kept]
        return torch.cat(boxes)[order]
