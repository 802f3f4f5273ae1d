"""Solutions of lesson 9."""

import numpy as np
import torch
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
    first = np.maximum(np.einsum("bmd,med->bme", tokens, w_1) + b_1, 0)
    second = np.maximum(np.einsum("bmd,med->bme", first, w_2) + b_2, 0)
    hyper = np.einsum("bmd,mcd->bmc", second, w_3) + b_3
    return np.einsum("bmc,bchw->bmhw", hyper, features)


def finer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    squares = torch.einsum("bcyx,cdij->bdyixj", x, weight)
    return squares.flatten(4, 5).flatten(2, 3) + bias[:, None, None]


def choose(masks: np.ndarray, iou: np.ndarray, parts: int) -> np.ndarray:
    if parts > 1:
        return masks[:, 0]
    best = 1 + iou[:, 1:].argmax(axis=1)
    return masks[np.arange(len(masks)), best]


def masks_of(tokens: np.ndarray, features: np.ndarray, masks: int) -> np.ndarray:
    chosen = tokens[:, 1 : 1 + masks]
    return np.einsum("btc,bchw->bthw", chosen, features)
