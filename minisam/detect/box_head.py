"""A box for every position in an image: a small head on the embedding of the frozen image encoder.

    embedding [E, h, w] -> 3 × 3 -> twice as fine -> 3 × 3 -> 1 score and 4 distances per cell

There is one class, "object", as in the second stage of the paper, which uses a Faster R-CNN.  The head here is like
FCOS (Tian et al. 2019), without levels: each cell predicts the probability that it is the middle of an object, and
the distances to the object's left, top, right and bottom edge. A distance is exp(x) cells and thus never negative.

B images   E embedding channels   h, w tokens   C = 2h · 2w cells
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from minisam.detect.boxes import kept_by_nms

PRIOR = 0.05
"""The initial score of every cell: most cells are not the middle of an object (Lin et al. 2017)."""
LARGEST = 6.0
"""The largest exponent; exp of it exceeds the size of any image."""


class BoxPredictions(NamedTuple):
    """scores [B, C], as logits; boxes [B, C, 4] as (x0, y0, x1, y1) in pixels; cells row by row."""

    scores: Tensor
    boxes: Tensor


class ObjectBoxHead(nn.Module):
    """Image embedding [B, E, h, w] -> BoxPredictions for an input of `image_size` pixels per side."""

    def __init__(self, embed_dim: int, image_size: int, width: int = 64) -> None:
        super().__init__()
        self.image_size = image_size
        self.body = nn.Sequential(
            nn.Conv2d(embed_dim, width, 3, padding=1),
            nn.GELU(),
            nn.ConvTranspose2d(width, width, 2, stride=2),
            nn.GELU(),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GELU(),
        )
        self.score = nn.Conv2d(width, 1, 1)
        self.distances = nn.Conv2d(width, 4, 1)
        nn.init.constant_(self.score.bias, math.log(PRIOR / (1 - PRIOR)))  # pyright: ignore[reportArgumentType]

    def forward(self, image_embedding: Tensor) -> BoxPredictions:
        features = self.body(image_embedding)
        centres = cell_centres(features.shape[2], features.shape[3], self.image_size, features.device)
        cell = self.image_size / features.shape[3]
        distances = cell * self.distances(features).clamp(max=LARGEST).exp().flatten(2).mT
        boxes = torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1)
        return BoxPredictions(self.score(features).flatten(1), boxes)


def cell_centres(down: int, across: int, image_size: int, device: torch.device | str = "cpu") -> Tensor:
    """(x, y) in pixels of the middle of each cell of a grid, row by row, [down · across, 2]."""
    y = (torch.arange(down, device=device) + 0.5) * (image_size / down)
    x = (torch.arange(across, device=device) + 0.5) * (image_size / across)
    return torch.cartesian_prod(y, x).flip(1)


def decode_boxes(
    predicted: BoxPredictions, image: int, image_size: int, min_score: float, nms_threshold: float, most: int
) -> tuple[Tensor, Tensor]:
    """The boxes [n, 4] of one image of the batch and their scores [n], 0 … 1, best first, n <= `most`."""
    scores = predicted.scores[image].detach().sigmoid()
    kept = (scores > min_score).nonzero()[:, 0]
    boxes = predicted.boxes[image].detach()[kept].clamp(0, image_size)
    order = kept_by_nms(boxes, scores[kept], nms_threshold)[:most]
    return boxes[order], scores[kept][order]
