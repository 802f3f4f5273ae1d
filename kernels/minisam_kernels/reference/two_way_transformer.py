"""Two-way transformer: prompt tokens x and image positions y attend to each other, in turn. One layer:

    1  x = norm1(x + self_attn(x + p, x + p, x))                        layer 0: x = norm1(self_attn(x, x, x))
    2  x = norm2(x + cross_attn_token_to_image(x + p, y + e, y))
    3  x = norm3(x + mlp(x))
    4  y = norm4(y + cross_attn_image_to_token(y + e, x + p, x))

and after the last layer x = norm_final_attn(x + final_attn_token_to_image(x + p, y + e, y)). Arguments
are queries, keys, values. p are the initial tokens, added again at each attention; e are the positions of the image
grid. In the paper every attention has a residual. In SAM's code and weights, the self-attention of layer 0 has no
residual and no p.

Symbols   B prompts   T tokens   P = H*W image positions   C channels
Source    Kirillov et al. 2023 (SAM), appendix A, figure 14. Weights are keyed as in SAM's state dict.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from minisam_kernels.reference.attention import multi_head_attention
from minisam_kernels.reference.layer_norm import layer_norm

Weights = Mapping[str, np.ndarray]


def two_way_transformer(
    image: np.ndarray, image_pe: np.ndarray, tokens: np.ndarray, weights: Weights, num_heads: int, depth: int
) -> tuple[np.ndarray, np.ndarray]:
    """image, image_pe [B, C, H, W], tokens [B, T, C] -> tokens [B, T, C], image [B, P, C]."""
    y, e = (grid.reshape(*grid.shape[:2], -1).swapaxes(1, 2) for grid in (image, image_pe))
    x = tokens
    for layer in range(depth):
        own = {key.removeprefix(f"layers.{layer}."): value for key, value in weights.items()}
        x, y = two_way_block(x, y, tokens, e, own, num_heads, first=layer == 0)
    final = multi_head_attention(x + tokens, y + e, y, weights, num_heads, "final_attn_token_to_image.")
    return _norm(x + final, weights, "norm_final_attn"), y


def two_way_block(
    x: np.ndarray, y: np.ndarray, p: np.ndarray, e: np.ndarray, weights: Weights, num_heads: int, first: bool
) -> tuple[np.ndarray, np.ndarray]:
    """One layer: x, p [B, T, C] and y, e [B, P, C] -> the new x and y. first: this is layer 0."""

    def attend(name: str, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        return multi_head_attention(q, k, v, weights, num_heads, f"{name}.")

    x = attend("self_attn", x, x, x) if first else x + attend("self_attn", x + p, x + p, x)
    x = _norm(x, weights, "norm1")
    x = _norm(x + attend("cross_attn_token_to_image", x + p, y + e, y), weights, "norm2")
    hidden = np.maximum(x @ weights["mlp.lin1.weight"].T + weights["mlp.lin1.bias"], 0)
    x = _norm(x + hidden @ weights["mlp.lin2.weight"].T + weights["mlp.lin2.bias"], weights, "norm3")
    y = _norm(y + attend("cross_attn_image_to_token", y + e, x + p, x), weights, "norm4")
    return x, y


def _norm(x: np.ndarray, weights: Weights, name: str) -> np.ndarray:
    return layer_norm(x, weights[f"{name}.weight"], weights[f"{name}.bias"], eps=1e-5)
