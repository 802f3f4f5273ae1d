"""A simulated annotator: first a point or a rough box, then points where the last mask was wrong (SAM section A).

    first prompt   a uniform foreground point, or the box with noise N(0, (0.1 · side)²) of at most 20/1024 of
                   the image, each with probability 1/2
    correction     a uniform point of the error region: foreground for a false negative, background for a false
                   positive; without errors, a background point

Every first prompt has two tokens (a point and its padding, or two corners); points and boxes can thus be in one
batch.  Points are (x, y) in pixels of the network's input.

P prompts   N points so far   S image size   h, w pixels of the mask logits
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam.masks.boxes import tight_boxes
from minisam.masks.sampling import sample_pixels
from minisam.model.prompt_encoder import BACKGROUND, BOTTOM_RIGHT, FOREGROUND, PADDING, TOP_LEFT
from minisam.seeds import Randomness, draw

BOX_NOISE = 0.1
MAX_BOX_NOISE = 20 / 1024


def first_prompts(
    masks: Tensor, box_probability: float = 0.5, generator: Randomness = None
) -> tuple[Tensor, Tensor]:
    """For masks [P, S, S] (bool, none empty): coordinates [P, 2, 2] and labels [P, 2] of a point or a box."""
    P, device = masks.shape[0], masks.device
    points = sample_pixels(masks, generator).float()
    corners = noisy_boxes(masks, generator).unflatten(1, (2, 2))
    as_point = torch.stack([points, torch.zeros_like(points)], dim=1)
    use_box = draw(torch.rand, (P,), device, generator) < box_probability
    coords = torch.where(use_box[:, None, None], corners, as_point)
    box_labels, point_labels = torch.tensor([[TOP_LEFT, BOTTOM_RIGHT], [FOREGROUND, PADDING]], device=device)
    return coords, torch.where(use_box[:, None], box_labels, point_labels)


def corrective_points(
    logits: Tensor, targets: Tensor, image_size: int, generator: Randomness = None
) -> tuple[Tensor, Tensor]:
    """One point for each prompt from the error of its mask: coordinates [P, 1, 2] and labels [P, 1].

    logits [P, h, w]; targets [P, h, w], foreground where > 0.5.  A point lies in the middle of its low-resolution
    pixel.
    """
    predicted, wanted = logits > 0, targets > 0.5
    errors = predicted ^ wanted
    perfect = ~errors.flatten(1).any(dim=1)
    region = torch.where(perfect[:, None, None], ~wanted, errors)
    cells = sample_pixels(region, generator)
    labels = wanted.flatten(1).gather(1, (cells[:, 1] * wanted.shape[-1] + cells[:, 0])[:, None])
    scale = image_size / logits.shape[-1]
    coords = (cells + 0.5) * scale - 0.5
    return coords[:, None], torch.where(labels, FOREGROUND, BACKGROUND)


def noisy_boxes(masks: Tensor, generator: Randomness = None) -> Tensor:
    """Tight boxes [P, 4] with the paper's noise, kept inside the image."""
    boxes = tight_boxes(masks)
    size = masks.shape[-1]
    sides = (boxes[:, 2:] - boxes[:, :2] + 1).repeat(1, 2)
    noise = draw(torch.randn, boxes.shape, boxes.device, generator) * BOX_NOISE * sides
    limit = MAX_BOX_NOISE * size
    return (boxes + noise.clamp(-limit, limit)).clamp(0, size - 1)
