"""Layer norm: each token's channels are normalised to mean 0 and variance 1, then scaled and shifted.

    out = (x - mean) / sqrt(variance + eps) * weight + bias

The variance is the mean of the squared deviations (divided by C, not by C - 1).

Symbols   C channels, the last axis   eps avoids a division by zero for a constant token
Source    Ba et al. 2016, equation 3. SAM's image encoder has eps = 1e-6, its two-way transformer eps = 1e-5.
"""

from __future__ import annotations

import numpy as np


def layer_norm(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float) -> np.ndarray:
    """x [..., C], weight [C], bias [C] -> [..., C]."""
    deviation = x - x.mean(axis=-1, keepdims=True)
    variance = (deviation**2).mean(axis=-1, keepdims=True)
    return deviation / np.sqrt(variance + eps) * weight + bias
