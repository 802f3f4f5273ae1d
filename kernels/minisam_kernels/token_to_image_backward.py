"""The gradients of token_to_image, in plain torch: meant for tests and occasional use, not for speed.

    p = softmax(scale rows (y + e)ᵀ)          dp = dO yᵀ              delta = rowsum(p · dp)
    ds = scale p (dp - delta)                 dRows = ds (y + e)
    dKeys = dsᵀ rows                          dy = pᵀ dO + dKeys      de = the sum of dKeys over the images

Training SAM's decoder applies its projections and does not use this code. Images are processed one after the other:
only the scores of one image are in memory, and the bits of a gradient do not depend on the batch. Sums are float32,
also for 16-bit inputs.

Ladder    dense.py -> token_to_image.py -> here
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam_kernels.attention import sum_type


@torch.library.custom_op(
    "minisam::token_to_image_backward",
    mutates_args=(),
    schema="(Tensor rows, Tensor image, Tensor image_pe, Tensor grad_out, float scale)"
    " -> (Tensor, Tensor, Tensor)",
)
def token_to_image_backward(
    rows: Tensor, image: Tensor, image_pe: Tensor, grad_out: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of rows [B, R, E], image [B, S, E] and image_pe [S, E] from that of the output [B, R, E]."""
    wide = sum_type(rows.dtype)
    grad_rows = rows.new_empty(rows.shape)
    grad_image = image.new_empty(image.shape)
    positions = copied(image_pe, wide)
    grad_positions = torch.zeros_like(positions)
    for b in range(len(rows)):
        r, y, grad_o = (copied(x[b], wide) for x in (rows, image, grad_out))
        keys = y + positions
        weights = torch.softmax(scale * (r @ keys.T), dim=-1)
        grad_weights = grad_o @ y.T
        delta = (weights * grad_weights).sum(dim=-1, keepdim=True)
        grad_scores = scale * weights * (grad_weights - delta)
        grad_keys = grad_scores.T @ r
        grad_rows[b] = grad_scores @ keys
        grad_image[b] = weights.T @ grad_o + grad_keys
        grad_positions += grad_keys
    return grad_rows, grad_image, grad_positions.to(image_pe.dtype)


def copied(x: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy in new memory, because the order of a CPU's sums in a product depends on the memory layout."""
    return x.to(dtype, copy=True, memory_format=torch.contiguous_format)


@token_to_image_backward.register_fake
def _(
    rows: Tensor, image: Tensor, image_pe: Tensor, grad_out: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    return rows.new_empty(rows.shape), image.new_empty(image.shape), image_pe.new_empty(image_pe.shape)
