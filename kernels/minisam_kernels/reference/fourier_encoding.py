"""Fourier encoding: a position in the unit square becomes sines and cosines of random frequencies.

    encoding(p) = [sin(2 pi (2p - 1) G), cos(2 pi (2p - 1) G)],     G ~ Normal(0, 1), drawn once and kept

Near positions get similar encodings and far ones different encodings, in every direction alike. A dot product of two
encodings thus measures how close the positions are. The same G encodes the points of a prompt and the cells of the
image grid.

Symbols   p = (x, y) in [0, 1]^2   G [2, F] Gaussian matrix   F frequencies
Source    Tancik et al. 2020 (Gaussian random Fourier features); Kirillov et al. 2023 (SAM), appendix A.
"""

from __future__ import annotations

import numpy as np


def fourier_encoding(coords: np.ndarray, gaussian: np.ndarray) -> np.ndarray:
    """coords [..., 2] as (x, y) in [0, 1], gaussian [2, F] -> [..., 2*F]: all sines, then all cosines."""
    phase = 2 * np.pi * ((2 * coords - 1) @ gaussian)
    return np.concatenate([np.sin(phase), np.cos(phase)], axis=-1)


def fourier_grid(height: int, width: int, gaussian: np.ndarray) -> np.ndarray:
    """The encoding [2*F, height, width] of a grid's cell centres ((j + 1/2) / width, (i + 1/2) / height)."""
    y = (np.arange(height) + 0.5) / height
    x = (np.arange(width) + 0.5) / width
    centres = np.stack(np.meshgrid(x, y), axis=-1).astype(gaussian.dtype)
    return fourier_encoding(centres, gaussian).transpose(2, 0, 1)
