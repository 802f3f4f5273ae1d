"""Lesson 21: write four functions, mend the fifth. `minisam lesson check 21 FILE` tells what is right."""

import numpy as np
import torch
from torch import Tensor

from minisam.pretrain.random_masking import take


def patch_targets(images: np.ndarray, patch_size: int) -> np.ndarray:
    """images [B, 3, H, W] -> [B, patches, P·P·3], the channel last, every patch with mean 0 and variance 1."""
    raise NotImplementedError


def visible_patches(tokens: np.ndarray, noise: np.ndarray, kept: int) -> np.ndarray:
    """tokens [B, L, C], noise [B, L] -> [B, kept, C], the tokens with the least noise, the least of all first."""
    raise NotImplementedError


def decoder_input(encoded: Tensor, noise: Tensor, mask_token: Tensor, positions: Tensor) -> Tensor:
    """encoded [B, 1 + kept, C], noise [B, L], mask_token [C], positions [L, C] -> [B, 1 + L, C]."""
    raise NotImplementedError


def sam_positions(pos_embed: Tensor, height: int, width: int) -> Tensor:
    """[1, 1 + L, C], the class token's position first -> [1, height, width, C], bicubic."""
    raise NotImplementedError


def network(x: Tensor) -> Tensor:
    """Stands in for encoder and decoder: every token [B, n, C] plus the mean of all."""
    return x + x.mean(dim=1, keepdim=True)


def step_loss(
    tokens: Tensor, positions: Tensor, mask_token: Tensor, target: Tensor, noise: Tensor, kept: int
) -> Tensor:
    """tokens and target [B, L, C], positions [L, C], mask_token [C], noise [B, L] -> [B]. Three bugs are in it."""
    order = noise.argsort(dim=1)
    visible = network(take(tokens, order[:, :kept]) + positions[:kept])
    missing = mask_token.expand(len(tokens), len(positions) - kept, -1)
    patches = take(torch.cat([visible, missing], dim=1), order) + positions
    error = (network(patches) - target).square().mean(dim=2)
    return error.mean(dim=1)
