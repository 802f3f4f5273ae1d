"""Lesson 3: write the first two functions, mend the third. `minisam lesson check 3 FILE` tells what is right."""

import numpy as np
from torch import Tensor


def window_partition(x: np.ndarray, window_size: int) -> np.ndarray:
    """Tokens x [B, H, W, C] -> windows [B · down · across, S, S, C], padded with zeros right and below."""
    raise NotImplementedError


def window_attention(qkv: Tensor, qkv_bias: Tensor, num_heads: int, window_size: int) -> Tensor:
    """qkv [B, H, W, 3·C] of the real tokens, qkv_bias [3·C] -> [B, H, W, C]."""
    raise NotImplementedError


def attend_in_windows(
    x: np.ndarray, qkv_weight: np.ndarray, qkv_bias: np.ndarray, num_heads: int, window_size: int
) -> np.ndarray:
    """Tokens x [B, H, W, C], qkv_weight [3·C, C], qkv_bias [3·C] -> [B, H, W, C]. There is a bug in it."""
    B, H, W, C = x.shape
    S, D = window_size, C // num_heads
    below, right = -H % S, -W % S
    padded = np.pad(x, ((0, 0), (0, below), (0, right), (0, 0)))
    real = np.pad(np.ones((H, W), bool), ((0, below), (0, right)))
    qkv = padded @ qkv_weight.T + qkv_bias
    out = np.empty_like(padded)
    for top in range(0, H, S):
        for left in range(0, W, S):
            window = qkv[:, top : top + S, left : left + S].reshape(B, S * S, 3, num_heads, D)
            q, k, v = window.transpose(2, 0, 3, 1, 4)
            scores = D**-0.5 * q @ k.swapaxes(2, 3)
            is_real = real[top : top + S, left : left + S].reshape(S * S)
            scores = np.where(is_real, scores, -np.inf)
            weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
            heads = weights / weights.sum(axis=-1, keepdims=True) @ v
            out[:, top : top + S, left : left + S] = heads.swapaxes(1, 2).reshape(B, S, S, C)
    return out[:, :H, :W]
