"""The cost of an annotator's work, in seconds.

    a mask        = find + clicks · (click + look) + brush
    brush         = pick up + trace · outline of the errors, in sides of the image
    a given mask  = look

The numbers are ours and not measured.  A click takes 0.9 s, the time of an additional click on an image in Bearman et
al. 2016. The others are guesses, chosen to make a mask cost between a few seconds and half a minute, as in the paper
(34 s per mask at the start, 14 s at the end of the first stage).  Ratios between stages are meaningful, absolute
seconds are not.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Costs:
    """Seconds for each action of an annotator."""

    find: float = 1.5
    """Decide what to segment next."""
    click: float = 0.9
    look: float = 1.0
    """Judge a mask: after every click, and for each given mask."""
    pick_up: float = 1.0
    """Change to the brush."""
    trace: float = 10.0
    """Follow an outline as long as one side of the image, to the pixel."""

    def clicking(self, clicks: int) -> float:
        """One object, found and clicked on that many times."""
        return self.find + clicks * (self.click + self.look)

    def brushing(self, mask: Tensor, target: Tensor) -> float:
        """The cost of turning `mask` into `target`, both [S, S] bool; 0 if they are equal."""
        wrong = mask ^ target
        length = outline_length(wrong) / wrong.shape[-1]
        return self.pick_up + self.trace * length if length else 0.0


def outline_length(region: Tensor) -> int:
    """Pixels of a region [S, S] (bool) that share a side with a pixel outside it, or with the image's border."""
    padded = F.pad(region, (1, 1, 1, 1))
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return int((region & ~inside).sum())
