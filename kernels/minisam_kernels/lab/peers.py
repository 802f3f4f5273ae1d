"""Other ways to compute the same: the contestants of the benchmark, each in the few lines that a user would write.

    SDPA, dense bias        the bias of L x L entries per head is built and passed to one backend of torch's
                            scaled_dot_product_attention
    one-hot concatenation   q' = [scale q, rel_h, rel_w] and k' = [k, 1_i, 1_j] turn the bias into part of the product,
                            which any fast attention computes; the head dim grows by H + W
    FlexAttention           the bias is a function of the indices, compiled into a kernel by torch
    …'s algorithm           what segment-anything-fast and vLLM do, in Triton, forward only: fused_peers.py
    no bias                 attention without positions: another result; the difference in time is the bias's cost
    pad, partition, …       windows copied out, a batch of small attentions, and copied back
    F.interpolate twice     the masks upscaled to the network's square and to the image, then compared and summed
    one head                absorbed rows as the queries of one head as wide as the image, positions added by a copy

All others are differentiable; all have the operation's arguments, and run wherever torch has the backend.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.attention.flex_attention import flex_attention

from minisam_kernels import dense
from minisam_kernels.lab.fused_peers import any_keys, rows_of_keys

Function = Callable[..., Tensor]
BACKENDS = {
    "memory-efficient": SDPBackend.EFFICIENT_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
    "flash": SDPBackend.FLASH_ATTENTION,
    "math": SDPBackend.MATH,
}
NO_BIAS = "no bias"  # in the name of a contestant without positions
FORWARD_ONLY = "forward only"  # in the name of a contestant without gradients
COMPILED = "compiled"  # in the name of a contestant that needs seconds to minutes before its first result


def peers(operation: str) -> dict[str, Function]:
    """The contestants by name, without ours."""
    if operation == "softmax":
        return {"torch": lambda x, scale: torch.softmax(scale * x, dim=-1)}
    if operation in ("attention", "cross_attention"):
        return {f"SDPA {name}": sdpa(name) for name in BACKENDS}
    if operation == "rel_pos_attention":
        return {
            **{
                f"SDPA {name}, dense bias": sdpa_with_bias(name)
                for name in ("memory-efficient", "cuDNN", "math")
            },
            "SDPA flash, one-hot concatenation": one_hot_concatenation("flash"),
            f"SDPA flash, {NO_BIAS}": without_bias("flash"),
            f"segment-anything-fast's algorithm, {FORWARD_ONLY}": rows_of_keys,
            f"vLLM's algorithm, {FORWARD_ONLY}": any_keys,
            f"FlexAttention, {COMPILED}": flex(compiled_flex_attention),
        }
    if operation == "window_attention":
        return {
            f"pad, partition, SDPA {name}, unpartition": partitioned(name)
            for name in ("memory-efficient", "math")
        }
    if operation == "token_to_image":
        return {f"SDPA {name}, one head": one_wide_head(name) for name in BACKENDS}
    if operation == "image_to_token":
        return {"matrix products, softmax, layer norm": dense.image_to_token}
    if operation == "mask_statistics":
        return {"F.interpolate twice, comparisons, sums": statistics_of_interpolated}
    if operation == "mask_bits":
        return {"F.interpolate twice, comparison, packing": bits_of_interpolated}
    raise ValueError(f"no peers of {operation!r} are known")


def sdpa(backend: str | None) -> Function:
    def attention(q: Tensor, k: Tensor, v: Tensor, scale: float, bias: Tensor | None = None) -> Tensor:
        if backend is None:
            return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)
        with sdpa_kernel(BACKENDS[backend]):
            return F.scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale)

    return attention


def one_wide_head(backend: str | None) -> Function:
    def attention(rows: Tensor, image: Tensor, image_pe: Tensor, scale: float) -> Tensor:
        keys = image + image_pe
        return sdpa(backend)(rows[:, None], keys[:, None], image[:, None], scale)[:, 0]

    return attention


def statistics_of_interpolated(
    low_res: Tensor,
    row_first: Tensor,
    row_weights: Tensor,
    column_first: Tensor,
    column_weights: Tensor,
    lower: float,
    middle: float,
    upper: float,
) -> Tensor:
    pixels = interpolated_twice(low_res, len(row_first), len(column_first))
    certain = torch.zeros(len(low_res), dtype=torch.int32, device=low_res.device)
    return dense.statistics_of_pixels(pixels, certain, (lower, middle, upper))


def bits_of_interpolated(
    low_res: Tensor,
    row_first: Tensor,
    row_weights: Tensor,
    column_first: Tensor,
    column_weights: Tensor,
    threshold: float,
) -> Tensor:
    return dense.packed_columns(interpolated_twice(low_res, len(row_first), len(column_first)) > threshold)


def interpolated_twice(low_res: Tensor, height: int, width: int) -> Tensor:
    """[P, h, w] -> upscaled by four, cropped to the scaled image, resized -> [P, height, width]."""
    padded = [4 * side for side in low_res.shape[1:]]
    kept = [
        max(1, round(side * length / max(height, width)))
        for side, length in zip(padded, (height, width), strict=True)
    ]
    square = F.interpolate(low_res[:, None], padded, mode="bilinear", align_corners=False)
    image = square[..., : kept[0], : kept[1]]
    return F.interpolate(image, (height, width), mode="bilinear", align_corners=False)[:, 0]


def sdpa_with_bias(backend: str | None) -> Function:
    def attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
        return sdpa(backend)(q, k, v, scale, dense_bias(rel_h, rel_w))

    return attention


def dense_bias(rel_h: Tensor, rel_w: Tensor) -> Tensor:
    """[..., L, H] and [..., L, W] -> [..., L, H·W]; an SDPA backend needs rows whose stride is a multiple of 8."""
    bias = (rel_h[..., :, None] + rel_w[..., None, :]).flatten(-2)
    keys = bias.shape[-1]
    return bias if keys % 8 == 0 else F.pad(bias, (0, -keys % 8))[..., :keys]


def one_hot_concatenation(backend: str | None) -> Function:
    def attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
        H, W, D = rel_h.shape[-1], rel_w.shape[-1], q.shape[-1]
        rows = torch.eye(H, dtype=k.dtype, device=k.device).repeat_interleave(W, dim=0)
        columns = torch.eye(W, dtype=k.dtype, device=k.device).repeat(H, 1)
        places = torch.cat([rows, columns], dim=-1).expand(*k.shape[:2], -1, -1)
        query = torch.cat([q * scale, rel_h, rel_w], dim=-1)
        key = torch.cat([k, places], dim=-1)
        # Fast backends need one head dim for all three.
        return sdpa(backend)(query, key, F.pad(v, (0, H + W)), 1.0)[..., :D]

    return attention


def without_bias(backend: str | None) -> Function:
    def attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
        return sdpa(backend)(q, k, v, scale)

    return attention


def flex(attend: Function) -> Function:
    def attention(q: Tensor, k: Tensor, v: Tensor, rel_h: Tensor, rel_w: Tensor, scale: float) -> Tensor:
        W = rel_w.shape[-1]

        def add_bias(score: Tensor, b: Tensor, n: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return score + rel_h[b, n, query, key // W] + rel_w[b, n, query, key % W]

        return attend(q, k, v, score_mod=add_bias, scale=scale)

    return attention


def compiled_flex_attention(*tensors: Tensor, **options: object) -> Tensor:
    return _compiled_flex()(*tensors, **options)


@lru_cache(maxsize=1)
def _compiled_flex() -> Function:
    return torch.compile(flex_attention, dynamic=False)


def partitioned(backend: str | None) -> Function:
    def attention(
        qkv: Tensor, qkv_bias: Tensor, rel_pos_h: Tensor, rel_pos_w: Tensor, num_heads: int, window_size: int
    ) -> Tensor:
        B, H, W, _ = qkv.shape
        S = window_size
        padded_h, padded_w = -(-H // S) * S, -(-W // S) * S
        padded = qkv_bias.expand(B, padded_h, padded_w, -1).clone()
        padded[:, :H, :W] = qkv
        windows = (
            padded.view(B, padded_h // S, S, padded_w // S, S, -1)
            .transpose(2, 3)
            .reshape(-1, S * S, padded.shape[-1])
        )
        q, k, v = windows.unflatten(-1, (3, num_heads, -1)).permute(2, 0, 3, 1, 4)

        offsets = torch.arange(S, device=qkv.device)
        table = offsets[:, None] - offsets[None, :] + S - 1
        grid = q.unflatten(2, (S, S))
        rel_h = torch.einsum("znhwd,hkd->znhwk", grid, rel_pos_h[table]).flatten(2, 3)
        rel_w = torch.einsum("znhwd,wkd->znhwk", grid, rel_pos_w[table]).flatten(2, 3)
        out = sdpa(backend)(q, k, v, q.shape[-1] ** -0.5, dense_bias(rel_h, rel_w))

        out = out.transpose(1, 2).reshape(B, padded_h // S, padded_w // S, S, S, -1)
        return out.transpose(2, 3).reshape(B, padded_h, padded_w, -1)[:, :H, :W].contiguous()

    return attention
