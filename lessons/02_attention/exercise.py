"""Lesson 2: write the first two functions, mend the third. `minisam lesson check 2 FILE` tells what is right."""

import numpy as np
from torch import Tensor


def softmax(x: np.ndarray) -> np.ndarray:
    """Scores x [rows, S] -> weights [rows, S], each row positive and of sum one."""
    raise NotImplementedError


def attention(q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
    """q [B, N, L, D], k and v [B, N, S, D] -> [B, N, L, D]."""
    raise NotImplementedError


def attend_per_prompt(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float) -> np.ndarray:
    """q [images · prompts, L, D] asks k and v [images, S, D] of its own image. There is a bug in it.

    The prompts of one image stand next to each other in q: first all of image 0, then all of image 1.
    """
    prompts = len(q) // len(k)
    keys, values = np.tile(k, (prompts, 1, 1)), np.tile(v, (prompts, 1, 1))
    scores = scale * q @ keys.swapaxes(1, 2)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ values
