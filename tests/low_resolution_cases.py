"""Low-resolution masks of any size and kind, with what F.interpolate makes of them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.model import Sam
from minisam.predict.everything.low_resolution_masks import LowResolutionMasks
from minisam.predict.resize_longest_side import ResizeLongestSide


class Case(SimpleNamespace):
    """Logits of two prompts, on an image of a size, and their thresholds."""

    low_res: Tensor
    original_size: tuple[int, int]
    threshold: float
    offset: float

    def masks(self) -> LowResolutionMasks:
        thresholds = (self.threshold - self.offset, self.threshold, self.threshold + self.offset)
        return LowResolutionMasks(self.low_res, self.sam(), self.input_size(), self.original_size, thresholds)

    def sam(self):
        side = self.factor * self.low_res.shape[-1]
        sam = SimpleNamespace(image_encoder=SimpleNamespace(img_size=side))
        sam.postprocess_masks = lambda *arguments: Sam.postprocess_masks(sam, *arguments)  # type: ignore
        return sam

    def input_size(self) -> tuple[int, int]:
        side = self.factor * self.low_res.shape[-1]
        return ResizeLongestSide.get_preprocess_shape(*self.original_size, side)

    def upscaled(self) -> Tensor:
        return self.sam().postprocess_masks(self.low_res, self.input_size(), self.original_size)


def smooth(rng: np.random.Generator, side: int, knots: int) -> Tensor:
    """Smooth random fields [2, 3, side, side] with as many bumps a side."""
    values = torch.from_numpy(rng.standard_normal((2, 3, knots, knots)).astype(np.float32))
    return F.interpolate(values, (side, side), mode="bicubic")


def random_case(rng: np.random.Generator, largest: int = 320) -> Case:
    """Any image size, a network of 32 to 512 pixels, logits from weak to strong, some of them whole numbers."""
    side = int(rng.choice([16, 64, 128], p=[0.5, 0.4, 0.1]))
    low_res = smooth(rng, side, int(rng.integers(2, 9))) * float(rng.choice([0.5, 3, 20]))
    low_res -= float(rng.choice([0, 0, 2, 10]))
    return Case(
        low_res=low_res.round() if rng.random() < 0.1 else low_res,
        factor=int(rng.choice([2, 4])),
        original_size=tuple(int(length) for length in rng.integers(1, largest, 2)),
        threshold=float(rng.choice([0, 0.3])),
        offset=float(rng.choice([1, 0.1])),
    )
