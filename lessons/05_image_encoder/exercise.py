"""Lesson 5: write block and image_encoder, mend resize_positions. `minisam lesson check 5 FILE` tells what is right."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from minisam.model.window_attention import window_attention as window_attention_torch
from minisam_kernels.reference.gelu import gelu
from minisam_kernels.reference.layer_norm import layer_norm
from minisam_kernels.reference.window_attention import window_attention


def block(x: np.ndarray, weights: dict[str, np.ndarray], num_heads: int, window_size: int) -> np.ndarray:
    """One block on tokens x [B, H, W, C] -> [B, H, W, C]; gelu, layer_norm and window_attention are there."""
    raise NotImplementedError


def part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The weights whose names start with the prefix, without it: part(weights, "blocks.0.")."""
    return {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}


def norm_2d(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Layer norm over the channels of x [B, C, H, W], at every place on its own."""
    return F.layer_norm(x.permute(0, 2, 3, 1), weight.shape, weight, bias, 1e-6).permute(0, 3, 1, 2)


def image_encoder(
    image: Tensor,
    weights: dict[str, Tensor],
    depth: int,
    num_heads: int,
    window_size: int,
    global_every: int,
) -> Tensor:
    """image [B, 3, side, side] -> image embedding [B, out_chans, grid, grid]; window_attention_torch is there."""
    raise NotImplementedError


def resize_positions(pos_embed: Tensor, height: int, width: int) -> Tensor:
    """Absolute positions [1, H, W, C] -> [1, height, width, C], bicubic. There is a bug in it."""
    _, H, W, C = pos_embed.shape
    as_image = pos_embed.reshape(1, C, H, W)
    resized = F.interpolate(as_image, size=(height, width), mode="bicubic")
    return resized.reshape(1, height, width, C)
