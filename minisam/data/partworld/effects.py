"""Two looks of the held-out worlds: drawn outlines, and silhouettes that let light through."""

from __future__ import annotations

import torch

from minisam.data.partworld.labels import rasterise_images
from minisam.data.partworld.plan import Plan

INK = 45.0
ABSORPTION = 1 / 400


def draw_lines(image: torch.Tensor, node: torch.Tensor) -> torch.Tensor:
    """Darken `image` [n, 3, S, S], in place, on both sides of every border between nodes [n, S, S]."""
    edge = torch.zeros(node.shape, dtype=torch.bool, device=node.device)
    across, down = node[:, :, 1:] != node[:, :, :-1], node[:, 1:] != node[:, :-1]
    edge[:, :, 1:] |= across
    edge[:, :, :-1] |= across
    edge[:, 1:] |= down
    edge[:, :-1] |= down
    return image.masked_fill_(edge[:, None], INK)


def absorb(image: torch.Tensor, plan: Plan, images: range) -> torch.Tensor:
    """Beer's law over everything in the beam, in place: each silhouette takes its own share of the light.

    The share follows from the silhouette's place in painter's order, so that it needs no random number.
    """
    n, _, S, _ = image.shape
    thickness = 60 + plan.silhouettes.bit * 37 % 120
    total, _ = rasterise_images(plan.silhouettes, thickness, images, [S * S] * n, image.device)
    return image.mul_(torch.exp(-ABSORPTION * total.reshape(n, 1, S, S).float()))
