"""Solutions of lesson 5."""

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from minisam.model.window_attention import window_attention as window_attention_torch
from minisam_kernels.reference.gelu import gelu
from minisam_kernels.reference.layer_norm import layer_norm
from minisam_kernels.reference.window_attention import window_attention


def block(x: np.ndarray, weights: dict[str, np.ndarray], num_heads: int, window_size: int) -> np.ndarray:
    qkv_weight, qkv_bias = weights["attn.qkv.weight"], weights["attn.qkv.bias"]
    tables = weights["attn.rel_pos_h"], weights["attn.rel_pos_w"]

    normed = layer_norm(x, weights["norm1.weight"], weights["norm1.bias"], 1e-6)
    qkv = normed @ qkv_weight.T + qkv_bias
    heads = window_attention(qkv, qkv_bias, *tables, num_heads, window_size)
    x = x + heads @ weights["attn.proj.weight"].T + weights["attn.proj.bias"]

    normed = layer_norm(x, weights["norm2.weight"], weights["norm2.bias"], 1e-6)
    hidden = gelu(normed @ weights["mlp.lin1.weight"].T + weights["mlp.lin1.bias"])
    return x + hidden @ weights["mlp.lin2.weight"].T + weights["mlp.lin2.bias"]


def part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}


def norm_2d(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.layer_norm(x.permute(0, 2, 3, 1), weight.shape, weight, bias, 1e-6).permute(0, 3, 1, 2)


def image_encoder(
    image: Tensor,
    weights: dict[str, Tensor],
    depth: int,
    num_heads: int,
    window_size: int,
    global_every: int,
) -> Tensor:
    def linear(x: Tensor, layer: dict[str, Tensor], name: str) -> Tensor:
        return F.linear(x, layer[f"{name}.weight"], layer[f"{name}.bias"])

    def norm(x: Tensor, layer: dict[str, Tensor], name: str) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], layer[f"{name}.weight"], layer[f"{name}.bias"], 1e-6)

    patches = weights["patch_embed.proj.weight"]
    x = F.conv2d(image, patches, weights["patch_embed.proj.bias"], stride=patches.shape[-1])
    x = x.permute(0, 2, 3, 1) + weights["pos_embed"]
    for index in range(depth):
        layer = part(weights, f"blocks.{index}.")
        is_global = (index + 1) % global_every == 0
        size = x.shape[1] if is_global else window_size  # one window is the whole grid
        tables = layer["attn.rel_pos_h"], layer["attn.rel_pos_w"]
        projected = linear(norm(x, layer, "norm1"), layer, "attn.qkv")
        seen = window_attention_torch(projected, layer["attn.qkv.bias"], *tables, num_heads, size)
        x = x + linear(seen, layer, "attn.proj")
        x = x + linear(F.gelu(linear(norm(x, layer, "norm2"), layer, "mlp.lin1")), layer, "mlp.lin2")
    x = F.conv2d(x.permute(0, 3, 1, 2), weights["neck.0.weight"])
    x = norm_2d(x, weights["neck.1.weight"], weights["neck.1.bias"])
    x = F.conv2d(x, weights["neck.2.weight"], padding=1)
    return norm_2d(x, weights["neck.3.weight"], weights["neck.3.bias"])


def resize_positions(pos_embed: Tensor, height: int, width: int) -> Tensor:
    as_image = pos_embed.permute(0, 3, 1, 2)
    resized = F.interpolate(as_image, size=(height, width), mode="bicubic")
    return resized.permute(0, 2, 3, 1)
