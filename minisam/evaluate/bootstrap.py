"""Confidence intervals: the spread of a measured number when the images are resampled with replacement.

The masks of one image are not independent; therefore images are resampled, never masks.  The interval is the middle
95 % of the statistic over all resamples (the percentile bootstrap; Efron 1979).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

RESAMPLES = 1000
COVERAGE = 0.95
ROUNDING = 1e-9


@dataclass(frozen=True)
class Estimate:
    """A number and the ends of its interval.

    Resamples of one image are all the same, and so are those of images with the same value.  The interval then has no
    width, which says nothing about other images, and the text leaves it out.
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f}" + (f" [{self.low:.3f}, {self.high:.3f}]" if self.has_width else "")

    @property
    def has_width(self) -> bool:
        """Whether the ends differ by more than rounding."""
        return self.high - self.low > ROUNDING

    def signed(self) -> str:
        """As a difference: with its sign."""
        return f"{self.value:+.3f}" + (f" [{self.low:+.3f}, {self.high:+.3f}]" if self.has_width else "")

    def plus_minus(self) -> str:
        """With half of the interval's width."""
        return f"{self.value:.3f}" + (f" ± {(self.high - self.low) / 2:.3f}" if self.has_width else "")


def image_weights(image_index: Tensor, resamples: int = RESAMPLES, seed: int = 0) -> Tensor:
    """The weight of each mask in each resample: image_index [P] -> [1 + resamples, P] float64.

    Row 0 is all ones.  Images without a mask are not drawn.
    """
    _, image = image_index.cpu().unique(return_inverse=True)
    images = int(image.max()) + 1
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(images, (resamples, images), generator=generator)
    counts = torch.zeros((resamples, images), dtype=torch.float64)
    counts.scatter_add_(1, drawn, torch.ones((), dtype=torch.float64).expand(drawn.shape))
    return torch.cat([torch.ones((1, images), dtype=torch.float64), counts])[:, image]


def estimate(statistic: Callable[[Tensor], Tensor], weights: Tensor) -> Estimate:
    """The value and interval of `statistic`, weights [R, n] -> [R]; `weights` from `image_weights`."""
    value, *resampled = statistic(weights).tolist()
    tail = (1 - COVERAGE) / 2
    ends = torch.tensor([tail, 1 - tail], dtype=torch.float64)
    low, high = torch.tensor(resampled, dtype=torch.float64).quantile(ends).tolist()
    return Estimate(value, low, high)
