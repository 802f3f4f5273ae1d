"""Softmax: turns scores into positive weights that sum to one.

    softmax(x)[i] = exp(x[i]) / sum_j exp(x[j]) = exp(x[i] - m) / sum_j exp(x[j] - m),     m = max_j x[j]

The maximum m cancels in the fraction. It keeps every exponential at 1 or below, which prevents overflow.

Symbols   x scores, any shape; the last axis is normalised
Source    Bridle 1990; Vaswani et al. 2017 use it in equation 1.
"""

from __future__ import annotations

import numpy as np


def softmax(x: np.ndarray) -> np.ndarray:
    """Softmax of x [..., S] over its last axis; -inf gives weight 0, a row of only -inf gives NaN."""
    exponentials = np.exp(x - x.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)
