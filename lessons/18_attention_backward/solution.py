"""Solutions of lesson 18."""

import numpy as np
import torch
import triton
import triton.language as tl
from torch import Tensor


def softmax_backward(weights: np.ndarray, grad_weights: np.ndarray) -> np.ndarray:
    """P and dP, both [rows, S] -> dS [rows, S]."""
    mean = (weights * grad_weights).sum(axis=-1, keepdims=True)
    return weights * (grad_weights - mean)


def attention_backward(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    out: np.ndarray,
    lse: np.ndarray,
    grad_out: np.ndarray,
    scale: float,
) -> np.ndarray:
    """q, out, grad_out [..., L, D], k, v [..., S, D], lse [..., L] -> dQ, dK, dV one below the other.

    That is [..., L + S + S, D]. No maximum and no sum over the keys is needed.
    """
    P = np.exp(scale * q @ k.swapaxes(-1, -2) - lse[..., :, None])
    dP = grad_out @ v.swapaxes(-1, -2)
    delta = (grad_out * out).sum(axis=-1, keepdims=True)
    dS = P * (dP - delta)
    dQ = scale * dS @ k
    dK = scale * dS.swapaxes(-1, -2) @ q
    dV = P.swapaxes(-1, -2) @ grad_out
    return np.concatenate([dQ, dK, dV], axis=-2)


@triton.jit
def query_gradient_kernel(
    q_ptr, k_ptr, v_ptr, out_ptr, lse_ptr, grad_out_ptr, grad_q_ptr, scale, L, S,
    D: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """One program owns BLOCK_M queries and their dQ, and walks over the keys, BLOCK_K at a time."""
    rows = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    row_ok = rows < L
    dims = tl.arange(0, D)
    own = rows[:, None] * D + dims[None, :]
    q = tl.load(q_ptr + own, mask=row_ok[:, None], other=0.0)
    out = tl.load(out_ptr + own, mask=row_ok[:, None], other=0.0)
    grad_out = tl.load(grad_out_ptr + own, mask=row_ok[:, None], other=0.0)
    lse = tl.load(lse_ptr + rows, mask=row_ok, other=0.0)
    delta = tl.sum(grad_out * out, axis=1)
    grad_q = tl.zeros([BLOCK_M, D], tl.float32)
    for start in range(0, S, BLOCK_K):
        columns = start + tl.arange(0, BLOCK_K)
        column_ok = columns < S
        keys = columns[:, None] * D + dims[None, :]
        k = tl.load(k_ptr + keys, mask=column_ok[:, None], other=0.0)
        v = tl.load(v_ptr + keys, mask=column_ok[:, None], other=0.0)
        scores = scale * tl.dot(q, tl.trans(k), input_precision="ieee")
        scores = tl.where(column_ok[None, :], scores, float("-inf"))
        weights = tl.exp(scores - lse[:, None])
        grad_weights = tl.dot(grad_out, tl.trans(v), input_precision="ieee")
        grad_scores = weights * (grad_weights - delta[:, None])
        grad_q += tl.dot(grad_scores, k, input_precision="ieee")
    tl.store(grad_q_ptr + own, scale * grad_q, mask=row_ok[:, None])


def query_gradient(
    q: Tensor, k: Tensor, v: Tensor, out: Tensor, lse: Tensor, grad_out: Tensor, scale: float
) -> Tensor:
    """q, out, grad_out [L, D], k, v [S, D], lse [L] -> dQ [L, D]."""
    (L, D), S = q.shape, len(k)
    grad_q = torch.empty_like(q)
    query_gradient_kernel[(triton.cdiv(L, 16),)](
        q, k, v, out, lse, grad_out, grad_q, scale, L, S, D=D, BLOCK_M=16, BLOCK_K=32
    )
    return grad_q


def bias_gradients(grad_scores: Tensor, H: int, W: int) -> Tensor:
    """dS [N, L, H·W] -> d rel_h [N, L, H] and d rel_w [N, L, W] side by side: [N, L, H + W]."""
    by_grid = grad_scores.unflatten(-1, (H, W))
    d_rel_h = by_grid.sum(dim=-1)
    d_rel_w = by_grid.sum(dim=-2)
    return torch.cat([d_rel_h, d_rel_w], dim=-1)


def all_of_grad_q(
    grad_scores: np.ndarray, k: np.ndarray, R_h: np.ndarray, R_w: np.ndarray, scale: float
) -> np.ndarray:
    """dS [H·W, H·W], k [H·W, D], R_h [H, H, D], R_w [W, W, D] -> dQ [H·W, D].

    R_h[i, m] is the table's row for a query in grid row i and a key in grid row m; R_w the same for columns.
    """
    (H, _, D), W = R_h.shape, len(R_w)
    grid = grad_scores.reshape(H, W, H, W)  # the query's row and column, the key's row and column
    grad_rel_h, grad_rel_w = grid.sum(axis=3), grid.sum(axis=2)
    through_keys = grad_scores @ k
    through_rows = np.einsum("hwm,hmd->hwd", grad_rel_h, R_h).reshape(H * W, D)
    through_columns = np.einsum("hwn,wnd->hwd", grad_rel_w, R_w).reshape(H * W, D)
    return scale * through_keys + through_rows + through_columns
