"""What an annotator's work costs, in seconds.

    a mask        = find + clicks · (click + look) + brush
    brush         = pick up + trace · outline of what is wrong, in sides of the image
    a given mask  = look

The numbers are ours: nobody was timed for them.  A click is the 0.9 s of one more click on an image in Bearman
et al. 2016; the others are guesses, made so that a mask costs between a few seconds and half a minute, as in
the paper (34 s a mask at the start, 14 s when the first stage ends).  Ratios between stages mean something, the
seconds themselves little.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Costs:
    """Seconds for each thing that an annotator does."""

    find: float = 1.5
    """Decide what to segment next."""
    click: float = 0.9
    look: float = 1.0
    """Judge a mask: after every click, and each mask that is given."""
    pick_up: float = 1.0
    """Change to the brush."""
    trace: float = 10.0
    """Follow an outline as long as one side of the image, to the pixel."""

    def clicking(self, clicks: int) -> float:
        """One thing, found and clicked on so many times."""
        return self.find + clicks * (self.click + self.look)

    def brushing(self, mask: Tensor, thing: Tensor) -> float:
        """Turn `mask` into `thing`, both [S, S] bool: nothing where they are the same."""
        wrong = mask ^ thing
        length = outline_length(wrong) / wrong.shape[-1]
        return self.pick_up + self.trace * length if length else 0.0


def outline_length(region: Tensor) -> int:
    """Pixels of a region [S, S] (bool) that touch, with a side, what is outside; so does the image's border."""
    padded = F.pad(region, (1, 1, 1, 1))
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return int((region & ~inside).sum())
