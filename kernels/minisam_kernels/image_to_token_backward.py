"""The gradients of image_to_token, in plain torch: meant for tests and occasional use, not for speed.

    p = softmax_t(scale ((y + e) rowsᵀ + offsets))    a = y + p values     x = (a - mean a) / √(variance of a + eps)
    dx = dO · weight                                  da = (dx - mean dx - x · mean(dx · x)) / √(variance + eps)
    dp = da valuesᵀ                                   ds = scale p (dp - Σ_t p dp)          dvalues = pᵀ da
    drows = dsᵀ (y + e)     doffsets = Σ_s ds             dkeys = ds rows     dy = da + dkeys     de = dkeys

Tensors that all prompts share (the positions, the norm's parameters and perhaps the image) get the sum of the
gradients. As in token_to_image_backward.py, prompts are processed one after the other, in float32.

Ladder    dense.py -> image_to_token.py -> here
"""

from __future__ import annotations

import torch
from torch import Tensor

from minisam_kernels.attention import sum_type
from minisam_kernels.token_to_image_backward import copied

GRADIENTS = "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)"


@torch.library.custom_op(
    "minisam::image_to_token_backward",
    mutates_args=(),
    schema="(Tensor image, Tensor image_pe, Tensor rows, Tensor offsets, Tensor values, Tensor weight, Tensor bias,"
    f" Tensor grad_out, float scale, float eps) -> {GRADIENTS}",
)
def image_to_token_backward(
    image: Tensor, image_pe: Tensor, rows: Tensor, offsets: Tensor, values: Tensor, weight: Tensor, bias: Tensor,
    grad_out: Tensor, scale: float, eps: float,
) -> tuple[Tensor, ...]:  # fmt: skip
    """The gradients of the seven tensors in their order, from that of the output [B, S, E]."""
    wide, shared = sum_type(rows.dtype), image.shape[0] == 1
    inputs = (image, image_pe, rows, offsets, values, weight, bias)
    gradients = [torch.zeros(x.shape, dtype=wide, device=x.device) for x in inputs]
    d_image, d_pe, d_rows, d_offsets, d_values, d_weight, d_bias = gradients
    positions, weight_e = copied(image_pe, wide), copied(weight, wide)
    for b in range(len(rows)):
        own = 0 if shared else b
        y, d_out = copied(image[own], wide), copied(grad_out[b], wide)
        rows_tc, values_tc = (copied(x[b].flatten(0, 1), wide) for x in (rows, values))
        keys = y + positions
        scores = (keys @ rows_tc.T).unflatten(1, offsets.shape[1:]) + offsets[b].to(wide)
        weights = torch.softmax(scale * scores, dim=-1)
        attended = y + weights.flatten(1) @ values_tc
        deviation = attended - attended.mean(dim=-1, keepdim=True)
        inverse = (deviation.square().mean(dim=-1, keepdim=True) + eps).rsqrt()
        normal = deviation * inverse

        d_normal = d_out * weight_e
        along = (d_normal * normal).mean(dim=-1, keepdim=True)
        d_attended = (d_normal - d_normal.mean(dim=-1, keepdim=True) - normal * along) * inverse
        d_weights = (d_attended @ values_tc.T).unflatten(1, offsets.shape[1:])
        mean = (weights * d_weights).sum(dim=-1, keepdim=True)
        d_scores = scale * weights * (d_weights - mean)
        d_keys = d_scores.flatten(1) @ rows_tc

        d_image[own] += d_attended + d_keys
        d_pe += d_keys
        d_rows[b] = (d_scores.flatten(1).T @ keys).unflatten(0, offsets.shape[1:])
        d_offsets[b] = d_scores.sum(dim=0)
        d_values[b] = (weights.flatten(1).T @ d_attended).unflatten(0, offsets.shape[1:])
        d_weight += (d_out * normal).sum(dim=0)
        d_bias += d_out.sum(dim=0)
    return tuple(gradient.to(rows.dtype) for gradient in gradients)


@image_to_token_backward.register_fake
def _(
    image: Tensor, image_pe: Tensor, rows: Tensor, offsets: Tensor, values: Tensor, weight: Tensor, bias: Tensor,
    grad_out: Tensor, scale: float, eps: float,
) -> tuple[Tensor, ...]:  # fmt: skip
    return tuple(x.new_empty(x.shape) for x in (image, image_pe, rows, offsets, values, weight, bias))
