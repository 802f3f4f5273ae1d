"""Solutions of lesson 25."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


def lora_forward(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    scale: float,
    parts: Sequence[int],
) -> np.ndarray:
    """x [N, C], weight [P·D, C], bias [P·D], a [n, r, C], b [n, D, r] -> [N, P·D].

    Update number i, with a[i] and b[i], belongs to part parts[i]: channels D·parts[i] to D·(parts[i] + 1).
    """
    y = x @ weight.T + bias
    D = b.shape[1]
    for part, a_rc, b_dr in zip(parts, a, b, strict=True):
        y[:, D * part : D * (part + 1)] += scale * ((x @ a_rc.T) @ b_dr.T)
    return y


def lora_merge(
    weight: np.ndarray, a: np.ndarray, b: np.ndarray, scale: float, parts: Sequence[int]
) -> np.ndarray:
    """weight [P·D, C], a [n, r, C], b [n, D, r] -> a new weight [P·D, C]; `weight` stays as it is."""
    merged = weight.copy()
    D = b.shape[1]
    for part, a_rc, b_dr in zip(parts, a, b, strict=True):
        merged[D * part : D * (part + 1)] += scale * (b_dr @ a_rc)
    return merged


def lora_gradients(
    x: np.ndarray, grad_y: np.ndarray, a: np.ndarray, b: np.ndarray, scale: float
) -> np.ndarray:
    """x [N, C], grad_y [N, D] = dL/dy, a [r, C], b [D, r] -> [r, C + D]: dL/dA, and beside it dL/dB transposed."""
    grad_a = scale * (grad_y @ b).T @ x
    grad_b = scale * grad_y.T @ (x @ a.T)
    return np.concatenate([grad_a, grad_b.T], axis=1)


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.weight = nn.Parameter(weight, requires_grad=False)
    layer.bias = nn.Parameter(bias, requires_grad=False)
    return layer


class Adapted(nn.Linear):
    """A frozen projection to q, k and v with updates of q and v: a [2, r, C], b [2, C, r]."""

    def __init__(self, frozen: nn.Linear, a: Tensor, b: Tensor, scale: float) -> None:
        super().__init__(frozen.in_features, frozen.out_features, bias=False)
        self.weight, self.bias = frozen.weight, frozen.bias
        self.frozen, self.a, self.b, self.scale = frozen, a, b, scale

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.frozen(x).chunk(3, dim=-1)
        q = q + self.scale * (x @ self.a[0].T @ self.b[0].T)
        v = v + self.scale * (x @ self.a[1].T @ self.b[1].T)
        return torch.cat([q, k, v], dim=-1)


def attend_in_windows(x: Tensor, qkv: nn.Linear, window_size: int) -> Tensor:
    """x [B, H, W, C], attention in windows, one head -> [B, H, W, C]. Only real tokens are projected (lesson 3)."""
    B, H, W, _ = x.shape
    S = window_size
    padding = qkv.bias if qkv.bias is not None else x.new_zeros(qkv.out_features)
    grid = padding.expand(B, H + -H % S, W + -W % S, -1).clone()
    grid[:, :H, :W] = qkv(x)
    windows = grid.unflatten(2, (-1, S)).unflatten(1, (-1, S)).transpose(2, 3)  # [B, down, across, S, S, 3·C]
    q, k, v = windows.flatten(3, 4).chunk(3, dim=-1)
    attended = F.scaled_dot_product_attention(q, k, v).unflatten(3, (S, S))
    return attended.transpose(2, 3).flatten(3, 4).flatten(1, 2)[:, :H, :W]


def adapted_attention(
    x: Tensor, weight: Tensor, bias: Tensor, a: Tensor, b: Tensor, scale: float, window_size: int
) -> Tensor:
    """x [B, H, W, C], weight [3·C, C], bias [3·C], a [2, r, C], b [2, C, r] -> [B, H, W, C]."""
    return attend_in_windows(x, Adapted(linear(weight, bias), a, b, scale), window_size)
