"""Solutions of lesson 8."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minisam_kernels.reference.softmax import softmax


def multi_head(
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    w_q: np.ndarray,
    w_k: np.ndarray,
    w_v: np.ndarray,
    w_out: np.ndarray,
    num_heads: int,
) -> np.ndarray:
    q_heads, k_heads, v_heads = (
        (x @ w.T).reshape(*x.shape[:2], num_heads, -1).swapaxes(1, 2)
        for x, w in ((q, w_q), (k, w_k), (v, w_v))
    )
    scale = q_heads.shape[-1] ** -0.5
    scores = scale * q_heads @ k_heads.swapaxes(2, 3)
    answers = softmax(scores) @ v_heads
    together = answers.swapaxes(1, 2).reshape(*q.shape[:2], -1)
    return together @ w_out.T


def attend(q: Tensor, k: Tensor, v: Tensor, w: Tensor, num_heads: int) -> Tensor:
    heads = [
        (x @ matrix.T).unflatten(2, (num_heads, -1)).transpose(1, 2)
        for x, matrix in zip((q, k, v), w[:3], strict=True)
    ]
    return F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2) @ w[3].T


def norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-5)


def two_way_block(
    x: Tensor,
    y: Tensor,
    p: Tensor,
    e: Tensor,
    among_tokens: Tensor,
    tokens_to_image: Tensor,
    w_1: Tensor,
    w_2: Tensor,
    image_to_tokens: Tensor,
    num_heads: int,
    first: int,
) -> Tensor:
    if first:
        x = norm(attend(x, x, x, among_tokens, num_heads))
    else:
        x = norm(x + attend(x + p, x + p, x, among_tokens, num_heads))
    x = norm(x + attend(x + p, y + e, y, tokens_to_image, num_heads))
    x = norm(x + F.relu(x @ w_1.T) @ w_2.T)
    y = norm(y + attend(y + e, x + p, x, image_to_tokens, num_heads))
    return torch.cat([x, y], dim=1)


def image_asks(x: Tensor, y: Tensor, p: Tensor, e: Tensor, w: Tensor, num_heads: int) -> Tensor:
    told = attend(y + e, x + p, x, w, num_heads)
    return norm(y + told)
