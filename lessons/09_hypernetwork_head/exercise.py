"""Lesson 9: write the first three functions, mend the last. `minisam lesson check 9 FILE` tells what is right."""

import numpy as np
from torch import Tensor


def mask_heads(
    tokens: np.ndarray,
    features: np.ndarray,
    w_1: np.ndarray,
    b_1: np.ndarray,
    w_2: np.ndarray,
    b_2: np.ndarray,
    w_3: np.ndarray,
    b_3: np.ndarray,
) -> np.ndarray:
    """tokens [B, M, D], features [B, C, h, w] -> mask logits [B, M, h, w].

    w_1 and w_2 [M, D, D], w_3 [M, C, D], b_1 and b_2 [M, D], b_3 [M, C].
    """
    raise NotImplementedError


def finer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """x [B, C, h, w], weight [C, D, 2, 2], bias [D] -> [B, D, 2h, 2w]."""
    raise NotImplementedError


def choose(masks: np.ndarray, iou: np.ndarray, parts: int) -> np.ndarray:
    """masks [B, 4, h, w], predicted IoU [B, 4], how many parts the prompts have -> one mask each, [B, h, w]."""
    raise NotImplementedError


def masks_of(tokens: np.ndarray, features: np.ndarray, masks: int) -> np.ndarray:
    """Tokens from the transformer [B, T, C], features [B, C, h, w] -> logits of the masks [B, masks, h, w].

    The mask tokens are already those that their perceptrons have made. There is a bug in it.
    """
    chosen = tokens[:, -masks:]
    return np.einsum("btc,bchw->bthw", chosen, features)
