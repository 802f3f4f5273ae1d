"""Edges from masks: the outlines of SAM's masks as an image of edge strengths (SAM section 7.2).

    strength of one mask = |Sobel of its probabilities|  on the pixels just outside it, 0 elsewhere
    edge map             = max over the masks, scaled to 0 … 1, thinned (minisam/evaluate/edge_thinning.py)

The probabilities are the sigmoid of the mask logits: a border with high confidence is a strong edge.  The paper
clicks on a grid of 16 × 16 points and applies only non-maximum suppression to the 768 masks.

M masks   H, W of the image
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.evaluate.edge_thinning import thin_edges


def edge_map(logits: Iterable[Tensor], mask_threshold: float = 0.0) -> Tensor:
    """Mask logits, any number of times [H, W] at the image's size -> edge strengths [H, W] in 0 … 1, thin.

    Only one mask is in memory at a time.  Raises ValueError if there is no mask.
    """
    strongest: Tensor | None = None
    for mask in logits:
        strength = mask_edges(mask.float(), mask_threshold)
        strongest = strength if strongest is None else torch.maximum(strongest, strength)
    if strongest is None:
        raise ValueError("an edge map needs at least one mask")
    low, high = strongest.min(), strongest.max()
    return thin_edges((strongest - low) / (high - low).clamp(min=torch.finfo(torch.float32).tiny))


def mask_edges(logits: Tensor, mask_threshold: float = 0.0) -> Tensor:
    """One mask's logits [H, W] -> strengths [H, W]."""
    return torch.where(outer_boundary(logits > mask_threshold), sobel(logits.sigmoid()), 0)


def sobel(picture: Tensor) -> Tensor:
    """[H, W] -> length of the gradient per pixel, with the border pixels repeated outside the image."""
    across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]], device=picture.device) / 8
    padded = F.pad(picture[None, None], (1, 1, 1, 1), mode="replicate")
    gradient = F.conv2d(padded, torch.stack([across, across.T])[:, None])
    return gradient.square().sum(dim=1).sqrt()[0]


def outer_boundary(mask: Tensor) -> Tensor:
    """Pixels outside a mask [H, W] (bool) with one of their eight neighbours inside."""
    grown = F.max_pool2d(mask[None].float(), kernel_size=3, stride=1, padding=1)[0] > 0
    return grown & ~mask


def true_edges(labels: Tensor) -> Tensor:
    """The true edges of label maps [..., H, W], as thin as those of an edge map: [H, W] bool.

    For PartWorld's maps [3, H, W] the borders of wholes, parts and subparts.
    """
    return thin_edges(label_boundaries(labels).float()) > 0


def label_boundaries(labels: Tensor) -> Tensor:
    """Pixels of label maps [..., H, W] whose right or lower neighbour has another label in any: [H, W] bool.

    A slanted border has two of these pixels per step.
    """
    labels = labels.reshape(-1, *labels.shape[-2:])
    edges = torch.zeros(labels.shape[-2:], dtype=torch.bool, device=labels.device)
    edges[:, :-1] |= (labels[:, :, 1:] != labels[:, :, :-1]).any(dim=0)
    edges[:-1] |= (labels[:, 1:] != labels[:, :-1]).any(dim=0)
    return edges
