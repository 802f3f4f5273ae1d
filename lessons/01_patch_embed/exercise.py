"""Lesson 1: write the first two functions, mend the third. `minisam lesson check 1 FILE` tells what is right."""

import numpy as np
from torch import Tensor


def patch_embed(image: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """image [B, C, H, W], weight [D, C, P, P], bias [D] -> tokens [B, H // P, W // P, D]."""
    raise NotImplementedError


def patch_embed_torch(image: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same shapes; no loop over patches and no convolution."""
    raise NotImplementedError


def prepare(image: np.ndarray, mean: np.ndarray, std: np.ndarray, size: int) -> np.ndarray:
    """image [3, H, W] in 0 … 255 -> [3, size, size], ready for the network. There is a bug in it."""
    below, right = size - image.shape[1], size - image.shape[2]
    padded = np.pad(image, ((0, 0), (0, below), (0, right)))
    return (padded - mean[:, None, None]) / std[:, None, None]
