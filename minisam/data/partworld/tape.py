"""One strip of uniform random numbers per image: the only randomness in a scene.

Image i of a batch reads row i, and does not depend on the number of images in the batch.
"""

from __future__ import annotations

import math

import torch


class Tape:
    """Uniform numbers in [0, 1), drawn on the CPU from one seed and used in order."""

    def __init__(self, seed: int, batch_size: int, length: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.strip = torch.rand(batch_size, length, generator=generator)
        self.cursor = 0

    def uniform(self, *shape: int) -> torch.Tensor:
        """The next numbers, [B, *shape]."""
        count = math.prod(shape)
        if self.cursor + count > self.strip.shape[1]:
            raise IndexError(f"the tape has {self.strip.shape[1]} numbers per image; a scene needs more")
        self.cursor += count
        return self.strip[:, self.cursor - count : self.cursor].reshape(-1, *shape)

    def between(self, low: float, high: float, *shape: int) -> torch.Tensor:
        """Uniform in [low, high)."""
        return low + (high - low) * self.uniform(*shape)

    def chance(self, probability: float | torch.Tensor, *shape: int) -> torch.Tensor:
        """True with the given probability."""
        return self.uniform(*shape) < probability
