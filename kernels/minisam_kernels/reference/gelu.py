"""GELU: x times the probability that a standard normal variable is below x, a smooth gate.

    gelu(x) = x * Phi(x) = x/2 * (1 + erf(x / sqrt(2)))

Symbols   Phi the standard normal distribution function   erf the error function
Source    Hendrycks and Gimpel 2016, section 2: the exact form, not the tanh approximation.
"""

from __future__ import annotations

import math

import numpy as np


def gelu(x: np.ndarray) -> np.ndarray:
    """Element by element; any shape."""
    erf = np.vectorize(math.erf, otypes=[x.dtype])
    return 0.5 * x * (1 + erf(x / math.sqrt(2)))
