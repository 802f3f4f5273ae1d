"""Stable masks directly from low-resolution logits, one by one: the same as stable_masks.py, but faster.

    predicted IoU first; then for each remaining mask
    upscaled part that can be above the lowest threshold -> pixels above t + o, t - o -> stability
    -> pixels above t -> borders of the runs

Upscaled logits are kept only for one mask, and pixels far below the thresholds are never computed.

`Sam.postprocess_masks`, which applies F.interpolate twice, defines the side of a threshold on which a pixel lies. Its
float32 rounding and ours may differ.  With u = 2^-24 and s = sum |weight · logit| over the logits of a pixel,

    |theirs − exact| <= 10 u s        |ours − exact| <= 10 u s

(theirs: two steps of four terms, each rounded twice, and three sums; ours: two axes of at most four terms, each
rounded twice with its weight, and three sums.)  A pixel that is closer to a threshold than the sum of both errors is
computed again in float64. If it is still closer than their error, the whole mask is computed with F.interpolate.  The
masks are therefore the same to the last bit, for any order in which a processor adds products.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from minisam.masks.runs import Borders, mask_to_borders
from minisam.masks.stability_score import stability_of_counts
from minisam.predict.everything.bilinear_bands import BLOCK
from minisam.predict.everything.low_resolution_masks import LowResolutionMasks
from minisam.predict.everything.stable_masks import StableMask

UNIT = 2.0**-24
ROUNDINGS = 10
MOST_IN_DOUBT = 2000


class Part(NamedTuple):
    """Upscaled logits, transposed: [columns, rows], from `corner` (x, y) on; each is right to within `doubt`."""

    logits: NDArray[np.float32]
    corner: tuple[int, int]
    doubt: float


class Above(NamedTuple):
    """The pixels [columns, rows] from `corner` (x, y) on that are above a threshold; all others are below."""

    pixels: NDArray[np.bool_]
    corner: tuple[int, int]


class UpscaledMask:
    """One mask: the part of it that can be above the lowest threshold, or the whole if rounding decides."""

    def __init__(self, masks: LowResolutionMasks, prompt: int, channel: int) -> None:
        self.masks, self.prompt, self.channel = masks, prompt, channel
        self.low_res = masks.low_res[prompt, channel].float().numpy()

    @cached_property
    def part(self) -> Part:
        """The part that can be above the lowest threshold, or the whole if no rounding bound exists for the logits."""
        thresholds = sorted(set(self.masks.thresholds))
        largest = max(float(np.abs(self.low_res).max()), -thresholds[0], thresholds[-1])
        doubt = 2 * ROUNDINGS * UNIT * largest
        close = any(b - a <= 4 * doubt for a, b in pairwise(thresholds))
        if self.masks.low_res.dtype != torch.float32 or not np.isfinite(doubt) or close:
            return self.whole
        return self.upscaled_above(thresholds[0] - doubt, doubt)

    @cached_property
    def whole(self) -> Part:
        """The whole mask, computed as in the predictor with the other masks of its prompt; no pixel is in doubt."""
        masks = self.masks
        of_prompt = masks.low_res[self.prompt][None]
        upscaled = masks.sam.postprocess_masks(of_prompt, masks.input_size, masks.original_size)
        return Part(np.ascontiguousarray(upscaled[0, self.channel].float().numpy().T), (0, 0), 0.0)

    def upscaled_above(self, lowest: float, doubt: float) -> Part:
        """The blocks of pixels that depend on any logit above `lowest`."""
        live = self.low_res > lowest
        live_rows, live_columns = np.flatnonzero(live.any(axis=1)), np.flatnonzero(live.any(axis=0))
        if not len(live_rows):
            return Part(np.zeros((0, 0), np.float32), (0, 0), doubt)
        rows, columns = self.masks.rows, self.masks.columns
        blocks_y = rows.blocks_reached(live_rows[0], live_rows[-1])
        blocks_x = columns.blocks_reached(live_columns[0], live_columns[-1])
        by_rows = rows.apply(self.low_res, blocks_y)
        logits = columns.apply(np.ascontiguousarray(by_rows.T), blocks_x)
        return Part(logits, (blocks_x.start * BLOCK, blocks_y.start * BLOCK), doubt)

    def is_unstable(self, lowest: float) -> bool:
        """Whether the stability score is below `lowest` for every result of the pixels in doubt."""
        lower, _, upper = self.masks.thresholds
        inner = np.count_nonzero(self.part.logits > upper - self.part.doubt)
        outer = np.count_nonzero(self.part.logits > lower + self.part.doubt)
        return bool(stability_of_counts(inner, outer) < np.float32(lowest))

    def above(self, threshold: float) -> Above:
        """The pixels above a threshold: of the part, or of the whole if the part cannot decide."""
        pixels = self.part_above(threshold) if self.part.doubt else None
        if pixels is None:
            return Above(self.whole.logits > np.float32(threshold), self.whole.corner)
        return Above(pixels, self.part.corner)

    def part_above(self, threshold: float) -> NDArray[np.bool_] | None:
        """Which pixels of the part are above a threshold; None if it cannot decide."""
        logits, _, doubt = self.part
        sure, possible = logits > threshold + doubt, logits > threshold - doubt
        if np.count_nonzero(sure) == np.count_nonzero(possible):
            return sure
        in_doubt = np.flatnonzero(sure.ravel() != possible.ravel())
        decided = self.decide(in_doubt, threshold) if len(in_doubt) <= MOST_IN_DOUBT else None
        if decided is None:
            return None
        sure.reshape(-1)[in_doubt] = decided
        return sure

    def decide(self, pixels: NDArray[np.int64], threshold: float) -> NDArray[np.bool_] | None:
        """Whether these pixels of the part are above, by float64; None if that cannot decide."""
        column, row = np.divmod(pixels, self.part.logits.shape[1])
        rows, columns = self.masks.rows, self.masks.columns
        y, x = row + self.part.corner[1], column + self.part.corner[0]
        taps = self.low_res[rows.inputs[y][:, :, None], columns.inputs[x][:, None, :]].astype(np.float64)
        weights = rows.weights[y][:, :, None] * columns.weights[x][:, None, :]
        exact = (weights * taps).sum(axis=(1, 2))
        distance = exact - float(np.float32(threshold))
        # A second step to the same size copies its pixels.
        steps = 1 if self.masks.input_size == self.masks.original_size else 2
        theirs = steps / 2 * ROUNDINGS * UNIT * (weights * np.abs(taps)).sum(axis=(1, 2))
        return None if (np.abs(distance) <= theirs).any() else distance > 0

    def stability_score(self) -> np.float32:
        """The stability score of the whole mask, as `calculate_stability_score` defines it."""
        lower, _, upper = self.masks.thresholds
        inner, outer = (np.count_nonzero(self.above(threshold).pixels) for threshold in (upper, lower))
        return stability_of_counts(inner, outer)

    def stability_at_least(self, lowest: float) -> np.float32 | None:
        """The stability score, or None if it is below `lowest`; 0 lets all masks pass."""
        if lowest > 0 and self.is_unstable(lowest):
            return None
        score = self.stability_score()
        return score if lowest <= 0 or score >= np.float32(lowest) else None

    def borders(self, offset: tuple[int, int], height: int) -> Borders:
        """The runs of the pixels above the middle threshold, in an image of `height` rows.

        `offset` (x, y): where the network's image, a crop, starts in that image.
        """
        pixels, (x, y) = self.above(self.masks.thresholds[1])
        return mask_to_borders(pixels, (x + offset[0], y + offset[1]), height)


def stable_masks_by_parts(
    masks: LowResolutionMasks, confident: Tensor, lowest: float, offset: tuple[int, int], height: int
) -> list[StableMask]:
    """The same result as `stable_masks`."""
    found = []
    for prompt, channel in confident.nonzero().tolist():
        mask = UpscaledMask(masks, prompt, channel)
        score = mask.stability_at_least(lowest)
        if score is not None:
            found.append(StableMask(prompt, channel, mask.borders(offset, height), score))
    return found
