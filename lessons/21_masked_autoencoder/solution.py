"""Solutions of lesson 21."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.pretrain.random_masking import take


def patch_targets(images: np.ndarray, patch_size: int) -> np.ndarray:
    B, _, H, W = images.shape
    P = patch_size
    cut = images.reshape(B, 3, H // P, P, W // P, P)
    patches = cut.transpose(0, 2, 4, 3, 5, 1).reshape(B, -1, P * P * 3)
    mean = patches.mean(axis=-1, keepdims=True)
    variance = patches.var(axis=-1, keepdims=True, ddof=1)
    return (patches - mean) / np.sqrt(variance + 1e-6)


def visible_patches(tokens: np.ndarray, noise: np.ndarray, kept: int) -> np.ndarray:
    order = noise.argsort(axis=1)
    keep = order[:, :kept]
    return np.take_along_axis(tokens, keep[:, :, None], axis=1)


def decoder_input(encoded: Tensor, noise: Tensor, mask_token: Tensor, positions: Tensor) -> Tensor:
    restore = noise.argsort(dim=1).argsort(dim=1)
    class_token, visible = encoded[:, :1], encoded[:, 1:]
    missing = mask_token.expand(len(noise), noise.shape[1] - visible.shape[1], -1)
    shuffled = torch.cat([visible, missing], dim=1)
    patches = shuffled.gather(1, restore[:, :, None].expand_as(shuffled)) + positions
    return torch.cat([class_token, patches], dim=1)


def sam_positions(pos_embed: Tensor, height: int, width: int) -> Tensor:
    patches = pos_embed[:, 1:]
    side = round(patches.shape[1] ** 0.5)
    as_image = patches.unflatten(1, (side, side)).permute(0, 3, 1, 2)
    resized = F.interpolate(as_image, size=(height, width), mode="bicubic")
    return resized.permute(0, 2, 3, 1)


def network(x: Tensor) -> Tensor:
    return x + x.mean(dim=1, keepdim=True)


def step_loss(
    tokens: Tensor, positions: Tensor, mask_token: Tensor, target: Tensor, noise: Tensor, kept: int
) -> Tensor:
    order = noise.argsort(dim=1)
    restore = order.argsort(dim=1)
    visible = network(take(tokens + positions, order[:, :kept]))
    missing = mask_token.expand(len(tokens), len(positions) - kept, -1)
    patches = take(torch.cat([visible, missing], dim=1), restore) + positions
    error = (network(patches) - target).square().mean(dim=2)
    hidden = restore >= kept
    return (error * hidden).sum(dim=1) / hidden.sum(dim=1)
