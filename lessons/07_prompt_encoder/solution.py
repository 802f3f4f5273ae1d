"""Solutions of lesson 7."""

import numpy as np
import torch
import torch.nn.functional as F
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
    unit = (points + 0.5) / np.array([width, height], points.dtype)
    label = labels.astype(int)
    tokens = fourier_encoding(unit, gaussian) + kinds[np.maximum(label, 0)]
    return np.where((label == -1)[..., None], not_a_point, tokens)


def encode(coords: Tensor, gaussian: Tensor) -> Tensor:
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
    corners = boxes.reshape(len(boxes), -1, 2)
    corner_labels = labels.new_tensor([2, 3]).repeat(len(boxes), boxes.shape[1])
    pads = 1 if boxes.shape[1] == 0 else 0
    padding, padding_labels = points.new_zeros(len(points), pads, 2), labels.new_full((len(points), pads), -1)
    all_points = torch.cat([points, padding, corners], dim=1)
    all_labels = torch.cat([labels, padding_labels, corner_labels], dim=1).long()
    positions = encode((all_points + 0.5) / size, gaussian)
    known = positions + kinds[all_labels.clamp(min=0)]
    return torch.where(all_labels[..., None] == -1, not_a_point, known)


def shrink(x: Tensor, weight: Tensor, bias: Tensor, norm_weight: Tensor, norm_bias: Tensor) -> Tensor:
    convolved = F.conv2d(x, weight, bias, stride=2)
    deviation = convolved - convolved.mean(dim=1, keepdim=True)
    variance = (deviation**2).mean(dim=1, keepdim=True)
    normed = deviation / (variance + 1e-6).sqrt()
    scaled = normed * norm_weight[:, None, None] + norm_bias[:, None, None]
    return F.gelu(scaled)


def mask_to_logits(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    cells = mask.reshape(height // 4, 4, width // 4, 4)
    share = cells.mean(axis=(1, 3))
    return 20 * share[None] - 10
