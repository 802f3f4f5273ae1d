"""Stable masks by kernels, for many clicks at once: counts first, then the bits of the masks that pass.

    logits that passed the predicted IoU -> mask_statistics -> areas, pixels in doubt -> stability
    the stable ones                      -> mask_bits       -> where a bit differs from the one above -> borders

No upscaled logits are written to memory. Only 32 bytes per mask, and the words in which a run starts or ends, are
copied from the GPU.  If rounding could decide about a pixel of a mask, the mask is measured by upscaled_parts.py
instead; the results are therefore the same to the last bit.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from minisam.masks.runs import Borders, merge_adjacent
from minisam.model.fast.kernel_choice import Kernel, kernel_for
from minisam.predict.everything.bilinear_bands import AxisBands
from minisam.predict.everything.low_resolution_masks import LowResolutionMasks
from minisam.predict.everything.stable_masks import StableMask
from minisam.predict.everything.upscaled_parts import UpscaledMask

WORD = 32
WORDS_TOGETHER = 2**27  # 512 MiB: 32 x 32 clicks on a photo of 1024 x 1024 pixels


class MaskKernels(NamedTuple):
    """`mask_statistics` and `mask_bits`."""

    statistics: Kernel
    bits: Kernel


def mask_kernels(masks: LowResolutionMasks) -> MaskKernels | None:
    """The two kernels for masks like these, or None if torch is used."""
    logits = masks.logits
    statistics, bits = (
        kernel_for(name, logits, logits.shape[-1]) for name in ("mask_statistics", "mask_bits")
    )
    return None if statistics is None or bits is None else MaskKernels(statistics, bits)


def clicks_filtered_together(low_res: Tensor, size: tuple[int, int], points_per_batch: int) -> int:
    """How many clicks' masks [R, C, h, w] are filtered at a time: whole batches, at least one.

    Filtering by kernels waits for the device a few times, for any number of masks. Therefore many masks are filtered
    together, limited by a fixed memory for their bits on an image of `size` (H, W). Without kernels, masks are
    measured one by one.
    """
    if kernel_for("mask_bits", low_res, low_res.shape[-1]) is None:
        return points_per_batch
    words = points_per_batch * low_res.shape[1] * size[1] * -(-size[0] // WORD)
    return max(1, WORDS_TOGETHER // words) * points_per_batch


def stable_masks_by_kernels(
    masks: LowResolutionMasks, confident: Tensor, lowest: float, offset: tuple[int, int], height: int
) -> list[StableMask]:
    """The same result as `stable_masks`."""
    kernels, device = mask_kernels(masks), masks.logits.device
    prompts, channels = confident.cpu().nonzero(as_tuple=True)
    if kernels is None or not len(prompts):
        return []
    logits = masks.logits[prompts.to(device), channels.to(device)]
    axes = (*taps(masks.rows, device), *taps(masks.columns, device))
    statistics = kernels.statistics(logits, *axes, *masks.thresholds).cpu().numpy()

    outer, inner, doubts = statistics[:, 0], statistics[:, 2], statistics[:, 3]
    scores, best = ratio(inner, outer), ratio(inner + doubts, np.maximum(outer - doubts, 0))
    certain = doubts == 0
    stable = certain & ((scores >= np.float32(lowest)) | (lowest <= 0))
    written = np.flatnonzero(stable)
    bits = kernels.bits(logits[torch.from_numpy(written).to(device)], *axes, masks.thresholds[1])
    borders = dict(zip(written.tolist(), bits_to_borders(bits, offset, height), strict=True))

    # A stability too low even with all pixels in doubt in its favour need not be computed again.
    doubtful = np.flatnonzero(~certain & ~((best < np.float32(lowest)) & (lowest > 0)))
    measured = masks.of(prompts[torch.from_numpy(doubtful)])
    found = []
    for place, (prompt, channel) in enumerate(zip(prompts.tolist(), channels.tolist(), strict=True)):
        if place in borders:
            found.append(StableMask(prompt, channel, borders[place], scores[place]))
        elif place in doubtful:
            mask = UpscaledMask(measured, int(np.searchsorted(doubtful, place)), channel)
            score = mask.stability_at_least(lowest)
            if score is not None:
                found.append(StableMask(prompt, channel, mask.borders(offset, height), score))
    return found


def ratio(inner: NDArray[np.int32], outer: NDArray[np.int32]) -> NDArray[np.float32]:
    """The stability of each pair of areas, as `stability_of_counts` defines it."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return inner.astype(np.float32) / outer.astype(np.float32)


def taps(axis: AxisBands, device: torch.device) -> tuple[Tensor, Tensor]:
    """An axis in the kernels' format: the first logit of every pixel, and the weights from there on."""
    first = torch.from_numpy(axis.inputs[:, 0].astype(np.int32))
    return first.to(device), torch.from_numpy(axis.weights.astype(np.float32)).to(device)


def bits_to_borders(bits: Tensor, offset: tuple[int, int], height: int) -> list[Borders]:
    """Bits down the columns [N, W, Q] -> the borders of each mask's runs.

    `offset` (x, y): where in an image of `height` rows these masks start.
    """
    last_of_previous = F.pad((bits >> WORD - 1) & 1, (1, 0))[..., :-1]
    changes = bits ^ (bits << 1 | last_of_previous)
    there = changes.nonzero()
    words = changes[tuple(there.T)].cpu().numpy().astype("<i4")
    mask, column, word = there.cpu().numpy().T
    which, bit = np.nonzero(np.unpackbits(words.view(np.uint8).reshape(-1, 4), axis=1, bitorder="little"))
    borders: NDArray[np.int64] = (column[which] + offset[0]) * height + WORD * word[which] + bit + offset[1]
    ends = np.searchsorted(mask[which], np.arange(1, len(bits)))
    return [merge_adjacent(part) for part in np.split(borders, ends)] if len(bits) else []
