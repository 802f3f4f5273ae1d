"""Lesson 7: write the first three functions, mend the last. `minisam lesson check 7 FILE` tells what is right."""

import numpy as np
import torch
from torch import Tensor

from minisam_kernels.reference.fourier_encoding import fourier_encoding


def embed_points(
    points: np.ndarray,
    labels: np.ndarray,
    gaussian: np.ndarray,
    kinds: np.ndarray,
    not_a_point: np.ndarray,
    height: int,
    width: int,
) -> np.ndarray:
    """points [B, K, 2] as (x, y) in pixels, labels [B, K] of -1 to 3, kinds [4, D], not_a_point [D] -> [B, K, D].

    gaussian [2, D/2] is for fourier_encoding; height and width are those of the network's input.
    """
    raise NotImplementedError


def encode(coords: Tensor, gaussian: Tensor) -> Tensor:
    """coords [..., 2] in [0, 1] -> [..., 2 · F]: lesson 6."""
    angles = 2 * torch.pi * ((2 * coords - 1) @ gaussian)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def sparse_tokens(
    points: Tensor,
    labels: Tensor,
    boxes: Tensor,
    gaussian: Tensor,
    kinds: Tensor,
    not_a_point: Tensor,
    size: int,
) -> Tensor:
    """points [B, K, 2], labels [B, K], boxes [B, n, 4] as (x0, y0, x1, y1) -> [B, K + 1, D] or [B, K + 2n, D].

    The other arguments as above; the network's input is size x size pixels. Where n = 0 a padding point comes last.
    """
    raise NotImplementedError


def shrink(x: Tensor, weight: Tensor, bias: Tensor, norm_weight: Tensor, norm_bias: Tensor) -> Tensor:
    """x [B, C, 2h, 2w], weight [D, C, 2, 2], bias and the norm's scale and shift [D] -> [B, D, h, w]."""
    raise NotImplementedError


def mask_to_logits(mask: np.ndarray) -> np.ndarray:
    """A mask [4h, 4w] of zeros and ones in the network's pixels -> a mask prompt [1, h, w]. There is a bug in it.

    -10 where no pixel of a 4 x 4 cell is in the mask, 10 where all are, and evenly between for a part of them.
    """
    height, width = mask.shape
    cells = mask.reshape(height // 4, 4, width // 4, 4)
    share = cells.mean(axis=(1, 3))
    return share[None]
