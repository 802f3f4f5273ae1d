"""The kernels' operations in plain torch, every score in memory: what a kernel's precision is compared with.

In float64 these formulas give the gradients that the NumPy references do not spell out; in a kernel's own type
they say how exact that type allows one to be. They take what the kernels take, in the same order.

B batch   N heads   L queries   S keys   D head dim   H, W grid   C channels = N*D
Absorbed attention: R rows (tokens * heads)   S image tokens   E channels
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def softmax(x: Tensor, scale: float = 1.0) -> Tensor:
    return torch.softmax(scale * x, dim=-1)


def attention(q: Tensor, k: Tensor, v: Tensor, scale: float, bias: Tensor | None = None) -> Tensor:
    scores_bnls = scale * (q @ k.mT)
    if bias is not None:
        scores_bnls = scores_bnls + bias
    return torch.softmax(scores_bnls, dim=-1) @ v


def cross_attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    return attention(q, k, v, scale)


def rel_pos_attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
    return attention(q, k, v, scale, (rel_h[..., :, None] + rel_w[..., None, :]).flatten(-2))


def window_attention(
    qkv: Tensor, qkv_bias: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, num_heads: int, window_size: int
) -> Tensor:
    H, W = qkv.shape[1:3]
    S = window_size
    down, across = -(-H // S), -(-W // S)
    rows = torch.arange(down * S, device=qkv.device)[:, None]
    columns = torch.arange(across * S, device=qkv.device)[None, :]
    inside = (rows < H) & (columns < W)
    token = qkv[:, rows.clamp(max=H - 1), columns.clamp(max=W - 1)]
    padded = torch.where(inside[..., None], token, qkv_bias)

    windows = padded.unflatten(2, (across, S)).unflatten(1, (down, S)).transpose(2, 3).flatten(3, 4)
    q, k, v = windows.unflatten(-1, (3, num_heads, -1)).permute(4, 0, 1, 2, 5, 3, 6)
    offset = torch.arange(S, device=qkv.device)
    table = offset[:, None] - offset[None, :] + S - 1
    q_grid = q.unflatten(-2, (S, S))
    rel_h = torch.einsum("...hwd,hkd->...hwk", q_grid, rel_pos_h[table]).flatten(-3, -2)
    rel_w = torch.einsum("...hwd,wkd->...hwk", q_grid, rel_pos_w[table]).flatten(-3, -2)
    out = rel_pos_attention(q, k, v, rel_h, rel_w, q.shape[-1] ** -0.5)
    merged = (
        out.transpose(-3, -2).flatten(-2).unflatten(3, (S, S)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
    )
    return merged[:, :H, :W]


def token_to_image(rows: Tensor, image: Tensor, image_pe: Tensor, scale: float) -> Tensor:
    return attention(rows, image + image_pe, image, scale)


def image_to_token(
    image: Tensor,
    image_pe: Tensor,
    rows: Tensor,
    offsets: Tensor,
    told: Tensor,
    weight: Tensor,
    bias: Tensor,
    scale: float,
    eps: float,
) -> Tensor:
    scores = (image + image_pe) @ rows.flatten(1, 2).mT + offsets.flatten(1)[:, None]
    weights = torch.softmax(scale * scores.unflatten(2, rows.shape[1:3]), dim=-1)
    updated = image + weights.flatten(2) @ told.flatten(1, 2)
    return F.layer_norm(updated, weight.shape, weight, bias, eps)


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "softmax": softmax,
    "attention": attention,
    "cross_attention": cross_attention,
    "rel_pos_attention": rel_pos_attention,
    "window_attention": window_attention,
    "token_to_image": token_to_image,
    "image_to_token": image_to_token,
}
