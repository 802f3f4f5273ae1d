"""Stability, threshold and run lengths straight from low-resolution logits, one mask after the other.

    predicted IoU first; then for each mask that is left
    upscaled part that can be above the lowest threshold -> pixels above t + o, t - o -> stability
    -> pixels above t -> borders of the runs

No upscaled logits outlive their mask, and pixels far below the thresholds are never computed.

Which side of a threshold a pixel lies on is defined by `Sam.postprocess_masks`, which is F.interpolate twice.
Its float32 rounding and ours may differ.  With u = 2^-24 and s = sum |weight · logit| over what a pixel is made of,

    |theirs − exact| <= 10 u s        |ours − exact| <= 10 u s

(theirs: two steps of four terms, each rounded twice, and three sums; ours: two axes of at most four terms, each
rounded twice with its weight, and three sums.)  A pixel closer to a threshold than both together is computed
again in float64; where theirs alone could still tip it, F.interpolate decides, for the whole mask.  The masks
are so the same to the last bit, whatever the processor makes of a sum of products.
"""

from __future__ import annotations

from copy import copy
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minisam.masks.runs import Borders, mask_to_borders
from minisam.masks.stability_score import stability_of_counts
from minisam.model import Sam
from minisam.predict.everything.bilinear_bands import BLOCK, axis_bands

UNIT = 2.0**-24
ROUNDINGS = 10
MOST_IN_DOUBT = 2000


class LowResolutionMasks:
    """The masks of P prompts, as the decoder gives them, on an image that went through the network.

    low_res [P, C, h, w] logits; `input_size` (h, w) is the part of the network's square input that is image,
    `original_size` (H, W) the image's own; `thresholds` are t − o, t and t + o.
    """

    def __init__(
        self,
        low_res: Tensor,
        sam: Sam,
        input_size: tuple[int, int],
        original_size: tuple[int, int],
        thresholds: tuple[float, float, float],
    ) -> None:
        self.logits, self.sam = low_res.detach(), sam
        self.input_size, self.original_size = input_size, original_size
        self.lower, self.middle, self.upper = thresholds
        low, square = low_res.shape[-2:], sam.image_encoder.img_size
        self.rows, self.columns = (
            axis_bands(low[axis], square, input_size[axis], original_size[axis]) for axis in (0, 1)
        )
        self.recomputed = 0

    @cached_property
    def low_res(self) -> Tensor:
        """The logits where they are measured one by one: on the CPU."""
        return self.logits.cpu()

    def of(self, prompts: Tensor) -> LowResolutionMasks:
        """The masks of some of the prompts."""
        some = copy(self)
        some.logits = self.logits[prompts.to(self.logits.device)]
        some.__dict__.pop("low_res", None)
        return some

    def measure(self, prompt: int, channel: int) -> UpscaledMask:
        """One mask, upscaled where it matters."""
        return UpscaledMask(self, prompt, channel)


class UpscaledMask:
    """The part of one upscaled mask that can be above the lowest threshold, transposed: [columns, rows]."""

    def __init__(self, masks: LowResolutionMasks, prompt: int, channel: int) -> None:
        self.masks, self.prompt, self.channel = masks, prompt, channel
        self.low_res = masks.low_res[prompt, channel].float().numpy()
        self.corner = (0, 0)
        thresholds = sorted({masks.lower, masks.middle, masks.upper})
        largest = max(float(np.abs(self.low_res).max()), -thresholds[0], thresholds[-1])
        self.doubt = 2 * ROUNDINGS * UNIT * largest
        close = any(b - a <= 4 * self.doubt for a, b in pairwise(thresholds))
        if masks.low_res.dtype != torch.float32 or not np.isfinite(self.doubt) or close:
            self.logits = self.by_interpolate()
        else:
            self.logits = self.upscale(thresholds[0] - self.doubt)

    def upscale(self, lowest: float) -> NDArray[np.float32]:
        """The blocks of pixels that any logit above `lowest` has a part in."""
        live = self.low_res > lowest
        live_rows, live_columns = np.flatnonzero(live.any(axis=1)), np.flatnonzero(live.any(axis=0))
        if not len(live_rows):
            return np.zeros((0, 0), np.float32)
        rows, columns = self.masks.rows, self.masks.columns
        blocks_y = rows.blocks_reached(live_rows[0], live_rows[-1])
        blocks_x = columns.blocks_reached(live_columns[0], live_columns[-1])
        self.corner = (blocks_x.start * BLOCK, blocks_y.start * BLOCK)
        by_rows = rows.apply(self.low_res, blocks_y)
        return columns.apply(np.ascontiguousarray(by_rows.T), blocks_x)

    def is_unstable(self, lowest: float) -> bool:
        """Whether the stability score is below `lowest` whatever becomes of the pixels in doubt."""
        inner = np.count_nonzero(self.logits > self.masks.upper - self.doubt)
        outer = np.count_nonzero(self.logits > self.masks.lower + self.doubt)
        return bool(stability_of_counts(inner, outer) < np.float32(lowest))

    def above(self, threshold: float) -> NDArray[np.bool_]:
        """Which pixels of the part are above a threshold."""
        if self.doubt == 0:
            return self.logits > np.float32(threshold)
        sure, possible = self.logits > threshold + self.doubt, self.logits > threshold - self.doubt
        if np.count_nonzero(sure) != np.count_nonzero(possible):
            in_doubt = np.flatnonzero(sure.ravel() != possible.ravel())
            decided = self.decide(in_doubt, threshold) if len(in_doubt) <= MOST_IN_DOUBT else None
            if decided is None:
                self.logits, self.corner = self.by_interpolate(), (0, 0)
                return self.above(threshold)
            sure.reshape(-1)[in_doubt] = decided
        return sure

    def decide(self, pixels: NDArray[np.int64], threshold: float) -> NDArray[np.bool_] | None:
        """Whether these pixels of the part are above, by float64; None where that cannot tell."""
        column, row = np.divmod(pixels, self.logits.shape[1])
        rows, columns = self.masks.rows, self.masks.columns
        y, x = row + self.corner[1], column + self.corner[0]
        taps = self.low_res[rows.inputs[y][:, :, None], columns.inputs[x][:, None, :]].astype(np.float64)
        weights = rows.weights[y][:, :, None] * columns.weights[x][:, None, :]
        exact = (weights * taps).sum(axis=(1, 2))
        distance = exact - float(np.float32(threshold))
        # A second step to the same size copies its pixels.
        steps = 1 if self.masks.input_size == self.masks.original_size else 2
        theirs = steps / 2 * ROUNDINGS * UNIT * (weights * np.abs(taps)).sum(axis=(1, 2))
        return None if (np.abs(distance) <= theirs).any() else distance > 0

    def by_interpolate(self) -> NDArray[np.float32]:
        """The whole mask as the predictor makes it, with the other masks of its prompt; nothing is left in doubt."""
        self.masks.recomputed += 1
        self.doubt = 0.0
        masks = self.masks
        of_prompt = masks.low_res[self.prompt][None]
        whole = masks.sam.postprocess_masks(of_prompt, masks.input_size, masks.original_size)
        return np.ascontiguousarray(whole[0, self.channel].float().numpy().T)

    def stability_score(self) -> np.float32:
        """Of the whole mask, as `calculate_stability_score` defines it."""
        inner, outer = (
            np.count_nonzero(self.above(threshold)) for threshold in (self.masks.upper, self.masks.lower)
        )
        return stability_of_counts(inner, outer)

    def stability_at_least(self, lowest: float) -> np.float32 | None:
        """The stability score, or None where it is below `lowest`; one of 0 lets everything pass."""
        if lowest > 0 and self.is_unstable(lowest):
            return None
        score = self.stability_score()
        return score if lowest <= 0 or score >= np.float32(lowest) else None

    def borders(self, offset: tuple[int, int], height: int) -> Borders:
        """The runs of the pixels above the middle threshold, in an image of `height` rows.

        `offset` (x, y): where in that image the network's own image, a crop of it, starts.
        """
        above = self.above(self.masks.middle)
        corner = (self.corner[0] + offset[0], self.corner[1] + offset[1])
        return mask_to_borders(above, corner, height)
