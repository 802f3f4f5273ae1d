"""The decoder's target: the pixels of the hidden patches, each patch normalised separately (MAE, section 3).

    target = (patch − mean) / √(variance + 10⁻⁶)        over the pixels of one patch
    loss   = mean over hidden patches of  mean over pixels of (prediction − target)²

Without the normalisation, a patch with strong contrast weighs as much as a hundred faint ones, and the learned
features are worse.  Visible patches are not in the loss: copying them teaches nothing.

B images   L patches   P patch side
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def patchify(images: Tensor, patch_size: int) -> Tensor:
    """[B, 3, H, W] -> [B, L, P·P·3], patches in reading order, the channel last in each."""
    patches = F.pixel_unshuffle(images, patch_size).unflatten(1, (3, -1))
    return patches.permute(0, 3, 4, 2, 1).flatten(3).flatten(1, 2)


def unpatchify(patches: Tensor, patch_size: int, grid: tuple[int, int]) -> Tensor:
    """[B, L, P·P·3] -> [B, 3, H, W], the inverse of `patchify`."""
    pixels = patches.unflatten(1, grid).unflatten(3, (-1, 3)).permute(0, 4, 3, 1, 2)
    return F.pixel_shuffle(pixels.flatten(1, 2), patch_size)


def normalise_patches(patches: Tensor) -> Tensor:
    """Every patch with mean 0 and variance 1 (the unbiased estimate, as in the original)."""
    variance, mean = patches.var(dim=-1, keepdim=True), patches.mean(dim=-1, keepdim=True)
    return (patches - mean) / (variance + 1e-6).sqrt()


def reconstruction_loss(prediction: Tensor, images: Tensor, hidden: Tensor, patch_size: int) -> Tensor:
    """The loss of predictions [B, L, P·P·3] for images [B, 3, H, W] with hidden patches [B, L] (bool)."""
    target = normalise_patches(patchify(images, patch_size))
    error = (prediction.float() - target).square().mean(dim=-1)
    return (error * hidden).sum() / hidden.sum()
