"""The low-resolution masks of some clicks on one image, as output by the decoder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from torch import Tensor

from minisam.model import Sam
from minisam.predict.everything.bilinear_bands import AxisBands, axis_bands


@dataclass(frozen=True)
class LowResolutionMasks:
    """The decoder's masks of P prompts on an image.

    logits [P, C, h, w]; `input_size` (h, w) is the image's part of the network's square input, `original_size` (H, W)
    the size of the image; `thresholds` are t − o, t and t + o.
    """

    logits: Tensor
    sam: Sam
    input_size: tuple[int, int]
    original_size: tuple[int, int]
    thresholds: tuple[float, float, float]

    @cached_property
    def low_res(self) -> Tensor:
        """The logits on the CPU, where they are measured one by one."""
        return self.logits.cpu()

    @property
    def rows(self) -> AxisBands:
        return self.axis(0)

    @property
    def columns(self) -> AxisBands:
        return self.axis(1)

    def axis(self, axis: int) -> AxisBands:
        square = self.sam.image_encoder.img_size
        return axis_bands(
            self.logits.shape[2 + axis], square, self.input_size[axis], self.original_size[axis]
        )

    def of(self, prompts: Tensor) -> LowResolutionMasks:
        """The masks of some of the prompts."""
        return replace(self, logits=self.logits[prompts.to(self.logits.device)])
