"""Training targets: choosing masks from the part trees of rendered scenes.

The paper trains on up to 64 random masks of an image and leaves out those that cover more than 90 % of it (section
A).  Masks smaller than `MIN_AREA` of the image, one token of a 16 × 16 grid, are left out too. If an image has all
three levels (whole, part, subpart), each is equally likely.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.data.partworld import SceneBatch

MIN_AREA = 1 / 256
MAX_AREA = 0.9


def eligible_nodes(scenes: SceneBatch, min_area: float = MIN_AREA) -> Tensor:
    """Which nodes may be targets, [B, K] bool; `min_area` is a fraction of the image."""
    pixels = scenes.labels.shape[-2] * scenes.labels.shape[-1]
    share = scenes.area / pixels
    return (scenes.level >= 0) & (share >= min_area) & (share <= MAX_AREA)


def sample_nodes(
    scenes: SceneBatch, count: int, generator: torch.Generator | None = None, min_area: float = MIN_AREA
) -> Tensor:
    """`count` nodes of every image, [B, count], levels balanced, with replacement.

    An image without an eligible node gives its largest one.
    """
    eligible = eligible_nodes(scenes, min_area)
    weights = torch.zeros_like(scenes.area, dtype=torch.float32)
    for level in range(3):
        of_level = eligible & (scenes.level == level)
        weights += of_level / of_level.sum(dim=1, keepdim=True).clamp(min=1)
    nothing = ~eligible.any(dim=1)
    largest = F.one_hot(scenes.area.argmax(dim=1), scenes.area.shape[1])
    weights = torch.where(nothing[:, None], largest.float(), weights)
    return torch.multinomial(weights, count, replacement=True, generator=generator)


def node_masks(scenes: SceneBatch, nodes: Tensor) -> Tensor:
    """The visible masks of `nodes` [B, M] -> [B, M, S, S] bool."""
    levels = scenes.level.gather(1, nodes).long()
    images = torch.arange(nodes.shape[0], device=nodes.device)[:, None]
    return scenes.labels[images, levels] == nodes.to(scenes.labels.dtype)[..., None, None]


def low_resolution_targets(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Masks [P, S, S] -> [P, *size]: the covered fraction of each low-resolution pixel, 0 … 1."""
    return F.adaptive_avg_pool2d(masks.float()[:, None], size).squeeze(1)
