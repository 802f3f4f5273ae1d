"""Scaling an image, and the prompts on it, so that its longest side fits the network (SAM section A).

new = int(old · size / longest + 0.5) for each side       coordinates × (new_w / old_w, new_h / old_h)
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor


class ResizeLongestSide:
    """Brings the longest side to `target_length` pixels; segment-anything's methods."""

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    def apply_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[H, W, 3] uint8 -> resized, by Pillow's antialiased bilinear filter."""
        height, width = self.get_preprocess_shape(image.shape[0], image.shape[1], self.target_length)
        return np.array(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))

    def apply_coords(self, coords: ArrayLike, original_size: tuple[int, ...]) -> NDArray[np.float64]:
        """[..., 2] as (x, y) on the original image (H, W), numbers of any type -> on the resized one, float64."""
        return np.asarray(coords, np.float64) * self.coordinate_scale(original_size)

    def apply_boxes(self, boxes: ArrayLike, original_size: tuple[int, ...]) -> NDArray[np.float64]:
        """[4] or [B, 4] as (x0, y0, x1, y1), like `apply_coords` -> [1, 4] or [B, 4]."""
        corners = np.asarray(boxes, np.float64).reshape(-1, 2, 2)
        return self.apply_coords(corners, original_size).reshape(-1, 4)

    def apply_image_torch(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] -> resized, close to but not equal to `apply_image`."""
        size = self.get_preprocess_shape(image.shape[2], image.shape[3], self.target_length)
        return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)

    def apply_coords_torch(self, coords: Tensor | ArrayLike, original_size: tuple[int, ...]) -> Tensor:
        """`apply_coords` for tensors, in float32."""
        points = torch.as_tensor(coords).to(torch.float32)
        return points * points.new_tensor(self.coordinate_scale(original_size))

    def apply_boxes_torch(self, boxes: Tensor | ArrayLike, original_size: tuple[int, ...]) -> Tensor:
        """`apply_boxes` for tensors: [4] -> [1, 4], and any other [..., 4] -> the same shape, in float32."""
        tensor = torch.as_tensor(boxes)
        corners = (tensor[None] if tensor.dim() == 1 else tensor).unflatten(-1, (2, 2))
        return self.apply_coords_torch(corners, original_size).flatten(-2)

    def coordinate_scale(self, original_size: tuple[int, ...]) -> tuple[float, float]:
        """The factors of x and y for an image of (H, W)."""
        old_h, old_w = original_size
        new_h, new_w = self.get_preprocess_shape(old_h, old_w, self.target_length)
        return new_w / old_w, new_h / old_h

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """The size (H, W) after scaling; no side gets shorter than one pixel."""
        scale = long_side_length / max(oldh, oldw)
        return max(1, int(oldh * scale + 0.5)), max(1, int(oldw * scale + 0.5))
