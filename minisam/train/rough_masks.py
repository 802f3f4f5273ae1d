"""A mask as the only prompt: a rough version of the target, as from a user.

    coarse   the target reduced to g × g, g = 4, 8, 16 or 32, and enlarged: like a coarser network's mask
    wobbly   a smooth random surface added, which moves the outline in and out
    logits   20·m − 10, m = 1 inside and 0 outside for half of them (minisam/predict/mask_prompt.py), between
             them for the others, as a network's own logits are

P prompts   h, w pixels of the mask prompt
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.seeds import Randomness, draw

COARSE = (4, 8, 16, 32)
WOBBLE = 0.25
WOBBLE_GRID = 6


def rough_mask_logits(targets: Tensor, generator: Randomness = None) -> Tensor:
    """Targets [P, h, w] in [0, 1], none empty -> logits [P, 1, h, w] of a rough mask of each, none empty."""
    P, h, w = targets.shape
    exact = targets[:, None].float()
    coarse = [
        F.interpolate(F.adaptive_avg_pool2d(exact, g), (h, w), mode="bilinear", align_corners=False)
        for g in COARSE
    ]
    choice = draw(partial(torch.randint, 0, len(COARSE)), (P,), targets.device, generator)
    blurred = torch.stack(coarse, dim=1)[torch.arange(P, device=targets.device), choice]
    # Blurring lowers the peak of thin objects; the threshold is half of the remaining peak.
    peak = blurred.amax(dim=(-2, -1), keepdim=True)
    grid = draw(torch.randn, (P, 1, WOBBLE_GRID, WOBBLE_GRID), targets.device, generator)
    surface = F.interpolate(grid, (h, w), mode="bicubic", align_corners=False)
    rough = blurred / peak + WOBBLE * surface * (blurred > 0)
    inside = (rough > 0.5).float()
    inside = torch.where(inside.flatten(1).any(dim=1)[:, None, None, None], inside, (exact > 0).float())
    as_drawn = draw(torch.rand, (P, 1, 1, 1), targets.device, generator) < 0.5
    soft = 0.55 * inside + 0.45 * rough.clamp(0, 1)
    return 20 * torch.where(as_drawn, inside, soft) - 10
