"""The pre-training recipe of each preset: steps, batch size and learning rate (MAE, appendix A).

The paper: batch 4096 for 800 epochs, rate 1.5e-4 · batch / 256, cosine to zero after 40 epochs of warm-up, β₂ = 0.95,
weight decay 0.05, random crops and flips.  Ours: small batches, a higher rate for small networks, and no crops, since
every drawn scene is new.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class PretrainingRecipe:
    """All settings of a run except seed, device and precision."""

    steps: int
    batch_size: int
    image_size: int
    mask_ratio: float = 0.75
    lr: float = 1e-3
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    warmup_share: float = 0.05
    clip_norm: float = 1.0

    def rate(self, step: int) -> float:
        """The learning rate at a step: linear warm-up, then half a cosine down."""
        warmup = max(1, round(self.warmup_share * self.steps))
        if step < warmup:
            return self.lr * (step + 1) / warmup
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, self.steps - warmup)))


PRETRAINING: dict[str, PretrainingRecipe] = {
    "nano": PretrainingRecipe(steps=4000, batch_size=64, image_size=64),
    "tiny": PretrainingRecipe(steps=6000, batch_size=32, image_size=256),
}
