"""The kernels' operations in plain torch, with all scores in memory: a kernel's precision is compared with these.

In float64 these formulas give the gradients, which the NumPy references do not define. In a kernel's type they show
how much precision that type allows. They have the same arguments as the kernels.

B batch   N heads   L queries   S keys   D head dim   H, W grid   C channels = N*D
Absorbed attention: R rows (tokens * heads)   S image tokens   E channels
Masks: P masks   h, w low resolution   H, W image   Q words of 32 rows
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
    values: Tensor,
    weight: Tensor,
    bias: Tensor,
    scale: float,
    eps: float,
) -> Tensor:
    scores = (image + image_pe) @ rows.flatten(1, 2).mT + offsets.flatten(1)[:, None]
    weights = torch.softmax(scale * scores.unflatten(2, rows.shape[1:3]), dim=-1)
    updated = image + weights.flatten(2) @ values.flatten(1, 2)
    return F.layer_norm(updated, weight.shape, weight, bias, eps)


def upscaled(
    low_res: Tensor, row_first: Tensor, row_weights: Tensor, column_first: Tensor, column_weights: Tensor
) -> tuple[Tensor, Tensor]:
    wide = torch.float64 if low_res.dtype == torch.float64 else torch.float32
    low_res, row_weights, column_weights = (x.to(wide) for x in (low_res, row_weights, column_weights))
    across, largest = 0.0, torch.zeros((), dtype=wide, device=low_res.device)
    for tap, weights in enumerate(column_weights.T):
        logits = low_res[:, :, column_first + tap]
        across, largest = across + weights * logits, largest.maximum(logits.abs())
    assert isinstance(across, Tensor)
    pixels, size = torch.zeros_like(across[:, row_first]), torch.zeros_like(across[:, row_first])
    for tap, weights in enumerate(row_weights.T):
        pixels = pixels + weights[:, None] * across[:, row_first + tap]
        size = size.maximum(largest[:, row_first + tap])
    return pixels, size


def mask_statistics(
    low_res: Tensor,
    row_first: Tensor,
    row_weights: Tensor,
    column_first: Tensor,
    column_weights: Tensor,
    lower: float,
    middle: float,
    upper: float,
) -> Tensor:
    pixels, size = upscaled(low_res, row_first, row_weights, column_first, column_weights)
    margin = 10 * torch.finfo(pixels.dtype).eps * size + 2.0**-126
    nothing = (size == 0) & (pixels == 0)
    thresholds = (lower, middle, upper)
    certain = nothing | torch.stack([(pixels - threshold).abs() > margin for threshold in thresholds]).all(
        dim=0
    )
    return statistics_of_pixels(pixels, (~certain).sum((1, 2), dtype=torch.int32), thresholds)


def statistics_of_pixels(pixels: Tensor, doubts: Tensor, thresholds: tuple[float, float, float]) -> Tensor:
    areas = [(pixels > threshold).sum((1, 2), dtype=torch.int32) for threshold in thresholds]
    above = pixels > thresholds[1]
    rows, columns = above.any(dim=2).int(), above.any(dim=1).int()
    ends = [
        end
        for line in (columns, rows)
        for end in (line.argmax(dim=1), line.shape[1] - 1 - line.flip(1).argmax(dim=1))
    ]
    x0, x1, y0, y1 = (end.int() * (areas[1] > 0) for end in ends)
    return torch.stack([*areas, doubts, x0, y0, x1, y1], dim=1)


def mask_bits(
    low_res: Tensor,
    row_first: Tensor,
    row_weights: Tensor,
    column_first: Tensor,
    column_weights: Tensor,
    threshold: float,
) -> Tensor:
    pixels, _ = upscaled(low_res, row_first, row_weights, column_first, column_weights)
    return packed_columns(pixels > threshold)


def packed_columns(masks: Tensor) -> Tensor:
    columns = F.pad(masks.mT.int(), (0, 32 - masks.shape[1] % 32))
    places = torch.arange(32, dtype=torch.int32, device=masks.device)
    return (columns.unflatten(2, (-1, 32)) << places).sum(dim=3, dtype=torch.int32)


OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "softmax": softmax,
    "attention": attention,
    "cross_attention": cross_attention,
    "rel_pos_attention": rel_pos_attention,
    "window_attention": window_attention,
    "token_to_image": token_to_image,
    "image_to_token": image_to_token,
    "mask_statistics": mask_statistics,
    "mask_bits": mask_bits,
}
