"""Point encoding: the Fourier encoding of a point's position plus a learned embedding of its label.

    token(x, y, label) = encoding((x + 1/2) / width, (y + 1/2) / height) + kind[label]     label 0, 1, 2, 3
    token(x, y, -1)    = not_a_point

Labels    -1 padding, without a position   0 background   1 foreground
          2 top-left corner of a box   3 bottom-right corner of a box
The half pixel moves an integer coordinate to the centre of its pixel.

Symbols   B prompts   K points each   D = 2*F channels   G [2, F] Gaussian matrix of the Fourier encoding
Source    Kirillov et al. 2023 (SAM), appendix A, "Prompt encoder".
"""

from __future__ import annotations

import numpy as np

from minisam_kernels.reference.fourier_encoding import fourier_encoding


def point_encoding(
    points: np.ndarray,
    labels: np.ndarray,
    gaussian: np.ndarray,
    kinds: np.ndarray,
    not_a_point: np.ndarray,
    image_size: tuple[int, int],
) -> np.ndarray:
    """points [B, K, 2] as (x, y) in pixels, labels [B, K], kinds [4, D], not_a_point [D] -> [B, K, D].

    image_size is (height, width) of the network's input in pixels, padding included.
    """
    height, width = image_size
    unit = (points + 0.5) / np.array([width, height], points.dtype)
    tokens = fourier_encoding(unit, gaussian) + kinds[np.maximum(labels, 0)]
    return np.where((labels == -1)[..., None], not_a_point, tokens)


def box_encoding(
    boxes: np.ndarray, gaussian: np.ndarray, kinds: np.ndarray, image_size: tuple[int, int]
) -> np.ndarray:
    """boxes [B, K, 4] as (x0, y0, x1, y1) in pixels -> [B, 2*K, D]: both corners of each box in turn."""
    B, K, _ = boxes.shape
    labels = np.broadcast_to(np.tile([2, 3], K), (B, 2 * K))
    no_padding = np.zeros_like(kinds[0])
    return point_encoding(boxes.reshape(B, 2 * K, 2), labels, gaussian, kinds, no_padding, image_size)
