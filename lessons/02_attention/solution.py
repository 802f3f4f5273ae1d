"""Solutions of lesson 2."""

import numpy as np
from torch import Tensor


def softmax(x: np.ndarray) -> np.ndarray:
    row_max = x.max(axis=-1, keepdims=True)
    exponentials = np.exp(x - row_max)
    row_sum = exponentials.sum(axis=-1, keepdims=True)
    return exponentials / row_sum


def attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    scores = scale * q @ k.transpose(-2, -1)
    return scores.softmax(dim=-1) @ v


def attend_per_prompt(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float) -> np.ndarray:
    prompts = len(q) // len(k)
    keys, values = np.repeat(k, prompts, axis=0), np.repeat(v, prompts, axis=0)
    scores = scale * q @ keys.swapaxes(1, 2)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ values
