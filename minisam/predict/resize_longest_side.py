"""Scaling an image, and the prompts on it, to the network's longest side (SAM section A).

new = int(old · size / longest + 0.5) for each side       coordinates × (new_w / old_w, new_h / old_h)
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor

from minisam.data.images import check_image_array
from minisam.errors import PromptError
from minisam.predict.given_numbers import to_array, to_tensor


class ResizeLongestSide:
    """Brings the longest side to `target_length` pixels; segment-anything's methods."""

    def __init__(self, target_length: int) -> None:
        self.target_length = target_length

    def apply_image(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """[H, W, 3] uint8 -> resized, by Pillow's antialiased bilinear filter.

        Raises ImageError if Pillow cannot make an image from the array.
        """
        height, width = self.get_preprocess_shape(image.shape[0], image.shape[1], self.target_length)
        try:
            picture = Image.fromarray(image)
        except (TypeError, ValueError):
            picture = Image.fromarray(check_image_array(image))
        return np.array(picture.resize((width, height), Image.Resampling.BILINEAR))

    def apply_coords(self, coords: ArrayLike, original_size: tuple[int, ...]) -> NDArray[np.float64]:
        """[..., 2] as (x, y) on the original image (H, W), numbers of any type -> on the resized one, float64.

        Raises PromptError for invalid numbers, like all methods for coordinates and boxes.
        """
        points = to_array(coords, "coords").astype(np.float64)
        check_last_axis(points.shape, 2, "coords", "(x, y)")
        return points * self.coordinate_scale(original_size)

    def apply_boxes(self, boxes: ArrayLike, original_size: tuple[int, ...]) -> NDArray[np.float64]:
        """[4] or [B, 4] as (x0, y0, x1, y1), like `apply_coords` -> [1, 4] or [B, 4]."""
        corners = to_array(boxes, "boxes")
        if corners.size and corners.shape[-2:] != (2, 2):
            check_last_axis(corners.shape, 4, "boxes", "(x0, y0, x1, y1)")
        return self.apply_coords(corners.reshape(-1, 2, 2), original_size).reshape(-1, 4)

    def apply_image_torch(self, image: Tensor) -> Tensor:
        """[B, 3, H, W] -> resized, close to but not equal to `apply_image`."""
        size = self.get_preprocess_shape(image.shape[2], image.shape[3], self.target_length)
        return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)

    def apply_coords_torch(self, coords: Tensor | ArrayLike, original_size: tuple[int, ...]) -> Tensor:
        """`apply_coords` for tensors, in float32."""
        points = to_tensor(coords, "coords").to(torch.float32)
        check_last_axis(points.shape, 2, "coords", "(x, y)")
        return points * points.new_tensor(self.coordinate_scale(original_size))

    def apply_boxes_torch(self, boxes: Tensor | ArrayLike, original_size: tuple[int, ...]) -> Tensor:
        """`apply_boxes` for tensors: [4] -> [1, 4], and any other [..., 4] -> the same shape, in float32."""
        tensor = to_tensor(boxes, "boxes")
        if tensor.dim() == 1:
            tensor = tensor[None] if len(tensor) else tensor.reshape(0, 4)
        check_last_axis(tensor.shape, 4, "boxes", "(x0, y0, x1, y1)")
        return self.apply_coords_torch(tensor.unflatten(-1, (2, 2)), original_size).flatten(-2)

    def coordinate_scale(self, original_size: tuple[int, ...]) -> tuple[float, float]:
        """The factors of x and y for an image of (H, W)."""
        old_h, old_w = original_size
        new_h, new_w = self.get_preprocess_shape(old_h, old_w, self.target_length)
        return new_w / old_w, new_h / old_h

    @staticmethod
    def get_preprocess_shape(oldh: int, oldw: int, long_side_length: int) -> tuple[int, int]:
        """The size (H, W) after scaling; no side becomes shorter than one pixel."""
        scale = long_side_length / max(oldh, oldw)
        return max(1, int(oldh * scale + 0.5)), max(1, int(oldw * scale + 0.5))


def check_last_axis(shape: tuple[int, ...], length: int, name: str, order: str) -> None:
    if not shape or shape[-1] != length:
        raise PromptError(f"{name} must have the shape (..., {length}) as {order}, got {tuple(shape)}")
