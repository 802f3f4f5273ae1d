"""Solutions of lesson 20."""

from collections.abc import Mapping

import numpy as np
import torch.nn.functional as F
from torch import Tensor

Weights = Mapping[str, Tensor]


def absorb_keys(q: np.ndarray, w_k: np.ndarray, num_heads: int) -> np.ndarray:
    """Projected queries q [B, T, N·D] and W_k [N·D, C] -> rows a [B, N, T, C], with the scale 1/√D in them.

    For every head and every y: a · y = q · (W_k y) / √D.
    """
    heads = q.reshape(*q.shape[:2], num_heads, -1).swapaxes(1, 2)  # [B, N, T, D]
    w_ndc = w_k.reshape(num_heads, -1, w_k.shape[1])
    return heads.shape[-1] ** -0.5 * heads @ w_ndc


def project(x: Tensor, weights: Weights, name: str, num_heads: int) -> Tensor:
    """x [B, T, C] through the projection of that name, cut into heads: [B, N, T, D]."""
    projected = F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])
    return projected.unflatten(2, (num_heads, -1)).transpose(1, 2)


def matrices(weight: Tensor, num_heads: int) -> Tensor:
    """[N·D, C] -> one matrix a head, [N, D, C]."""
    return weight.unflatten(0, (num_heads, -1))


def tokens_ask(x: Tensor, p: Tensor, y: Tensor, e: Tensor, weights: Weights, num_heads: int) -> Tensor:
    """Tokens x + p ask the image, keys y + e and values y: x, p [B, T, C], y, e [B, S, C] -> [B, T, C].

    No projection is applied to y or e.
    """
    q = project(x + p, weights, "q_proj", num_heads)
    rows = q.shape[-1] ** -0.5 * q @ matrices(weights["k_proj.weight"], num_heads)  # [B, N, T, C]
    shares = (rows @ (y + e)[:, None].transpose(2, 3)).softmax(dim=3)  # [B, N, T, S]
    seen = shares @ y[:, None]  # [B, N, T, C]
    heads = seen @ matrices(weights["v_proj.weight"], num_heads).transpose(1, 2)  # [B, N, T, D]
    values = heads.transpose(1, 2).flatten(2) + weights["v_proj.bias"]
    return F.linear(values, weights["out_proj.weight"], weights["out_proj.bias"])


def join_parts(row_max: np.ndarray, row_sum: np.ndarray, acc: np.ndarray) -> np.ndarray:
    """What P parts of the keys know of L queries -> attention over all the keys, [L, D].

    row_max [P, L] is the largest score of a part, row_sum [P, L] its sum of exp(score - row_max), and acc [P, L, D]
    its sum of exp(score - row_max) · value.
    """
    rescale = np.exp(row_max - row_max.max(axis=0))  # [P, L]
    weighted = (rescale[:, :, None] * acc).sum(axis=0)
    total = (rescale * row_sum).sum(axis=0)
    return weighted / total[:, None]


def image_asks(x: Tensor, p: Tensor, y: Tensor, e: Tensor, weights: Weights, num_heads: int) -> Tensor:
    """The image y + e asks the tokens, keys x + p and values x: x, p [B, T, C], y, e [B, S, C] -> [B, S, C]."""
    k = project(x + p, weights, "k_proj", num_heads)
    k = k * k.shape[-1] ** -0.5
    rows = k @ matrices(weights["q_proj.weight"], num_heads)  # [B, N, T, C]
    offsets = k @ weights["q_proj.bias"].reshape(num_heads, -1, 1)  # [B, N, T, 1]
    scores = (y + e)[:, None] @ rows.transpose(2, 3) + offsets.transpose(2, 3)  # [B, N, S, T]
    v = project(x, weights, "v_proj", num_heads)
    told = v @ matrices(weights["out_proj.weight"].T, num_heads)  # [B, N, T, C]
    return (scores.softmax(dim=3) @ told).sum(dim=1) + weights["out_proj.bias"]
