"""Layer norm of an image: at every pixel, over the channels.

    out[b, c, y, x] = (x[b, c, y, x] - mean[b, y, x]) / sqrt(variance[b, y, x] + eps) * weight[c] + bias[c]

Mean and variance are over the C channels of one pixel; no pixel depends on another.

Symbols   B batch   C channels   H, W image size   eps avoids a division by zero for a constant pixel
Source    Ba et al. 2016, equation 3, with the channels on axis 1, where convolutions have them. eps is SAM's.
"""

from __future__ import annotations

import numpy as np


def layer_norm_2d(x: np.ndarray, weight: np.ndarray, bias: np.ndarray, eps: float = 1e-6) -> np.ndarray:
    """x [B, C, H, W], weight [C], bias [C] -> [B, C, H, W]."""
    deviation = x - x.mean(axis=1, keepdims=True)
    variance = (deviation**2).mean(axis=1, keepdims=True)
    return deviation / np.sqrt(variance + eps) * weight[:, None, None] + bias[:, None, None]
