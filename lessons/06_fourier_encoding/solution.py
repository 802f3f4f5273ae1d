"""Solutions of lesson 6."""

import math

import numpy as np
import torch
from torch import Tensor


def fourier_encoding(coords: np.ndarray, gaussian: np.ndarray) -> np.ndarray:
    angles = 2 * np.pi * ((2 * coords - 1) @ gaussian)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=-1)


def grid_encoding(gaussian: Tensor, height: int, width: int) -> Tensor:
    y = (torch.arange(height) + 0.5) / height
    x = (torch.arange(width) + 0.5) / width
    centres = torch.stack([x.expand(height, width), y[:, None].expand(height, width)], dim=-1)
    phases = 2 * math.pi * ((2 * centres - 1) @ gaussian)
    return torch.cat([phases.sin(), phases.cos()], dim=-1).permute(2, 0, 1)


def nearness(a: np.ndarray, b: np.ndarray, noise: np.ndarray, hidden_size: int) -> np.ndarray:
    gaussian = noise  # the deviation is 1 already, whatever the hidden size
    angle_a, angle_b = (2 * np.pi * (2 * position - 1) @ gaussian for position in (a, b))
    products = np.sin(angle_a) * np.sin(angle_b) + np.cos(angle_a) * np.cos(angle_b)
    return products.mean(axis=-1)
