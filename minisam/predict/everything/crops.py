"""Crops: the image once whole, then in layers of 2 x 2, 4 x 4 … overlapping boxes (SAM section B).

In a layer of n x n crops neighbours share v = ratio · short side · 2 / n pixels, and a crop is
ceil((length + (n − 1) · v) / n) long.  The crops are enlarged to the network's input, which helps with small objects.
A mask that touches an edge of its crop inside the image is probably cut off, and is dropped.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

CropBox = tuple[int, int, int, int]
EDGE_DISTANCE = 20


def generate_crop_boxes(
    im_size: tuple[int, int], n_layers: int, overlap_ratio: float
) -> tuple[list[CropBox], list[int]]:
    """Boxes (x0, y0, x1, y1) on an image of (H, W), and the layer of each; layer 0 is the whole image.

    Empty crops, which occur if an image has fewer pixels than crops, are left out.
    """
    height, width = im_size
    boxes: list[CropBox] = [(0, 0, width, height)]
    layers = [0]
    for layer in range(1, n_layers + 1):
        n = 2**layer
        overlap = int(overlap_ratio * min(im_size) * (2 / n))
        crop_width, crop_height = (math.ceil((overlap * (n - 1) + length) / n) for length in (width, height))
        for x0 in ((crop_width - overlap) * i for i in range(n)):
            for y0 in ((crop_height - overlap) * i for i in range(n)):
                if x0 < width and y0 < height:
                    boxes.append((x0, y0, min(x0 + crop_width, width), min(y0 + crop_height, height)))
                    layers.append(layer)
    return boxes, layers


def near_crop_edge(boxes: NDArray[np.int64], crop: CropBox, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Which boxes [N, 4], in pixels of the image of `size` (H, W), touch an edge of the crop but not of the image."""
    image = (0, 0, size[1], size[0])
    near_crop, near_image = (np.abs(boxes - edges) <= EDGE_DISTANCE for edges in (crop, image))
    return np.any(near_crop & ~near_image, axis=1)
