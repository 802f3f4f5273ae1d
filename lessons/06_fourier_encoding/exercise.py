"""Lesson 6: write the first two functions, mend the third. `minisam lesson check 6 FILE` tells what is right."""

import numpy as np
from torch import Tensor


def fourier_encoding(coords: np.ndarray, gaussian: np.ndarray) -> np.ndarray:
    """coords [..., 2] as (x, y) in [0, 1], gaussian [2, F] -> [..., 2 · F]."""
    raise NotImplementedError


def grid_encoding(gaussian: Tensor, height: int, width: int) -> Tensor:
    """gaussian [2, F] -> the encoding of the centres of all cells, [2 · F, height, width]."""
    raise NotImplementedError


def nearness(a: np.ndarray, b: np.ndarray, noise: np.ndarray, hidden_size: int) -> np.ndarray:
    """How alike the codes of positions a and b [..., 2] are: 1 for one place, one half at 9 % of the image's side.

    noise [2, F] comes from a normal distribution of mean 0 and deviation 1. There is a bug in it.
    """
    gaussian = noise * (hidden_size // 2)
    angle_a, angle_b = (2 * np.pi * (2 * position - 1) @ gaussian for position in (a, b))
    products = np.sin(angle_a) * np.sin(angle_b) + np.cos(angle_a) * np.cos(angle_b)
    return products.mean(axis=-1)
