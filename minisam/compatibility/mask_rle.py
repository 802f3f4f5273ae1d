"""Run-length encodings: segment-anything's functions, based on minisam/masks/rle.py.

{"size": [H, W], "counts": [run of zeros, run of ones, …]}        pixels numbered down the columns
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from minisam.compatibility.mask_boxes import check_no_logits
from minisam.masks.rle import compress_rle, decode_rle, encode_rle


def mask_to_rle_pytorch(tensor: Tensor) -> list[dict[str, Any]]:
    """Masks [B, H, W], bool -> the encoding of each, its counts a list.  Raises TypeError for logits."""
    check_no_logits(tensor)
    return [encode_rle(mask) for mask in tensor.cpu().numpy()]


def rle_to_mask(rle: dict[str, Any]) -> NDArray[np.bool_]:
    """An encoding -> mask [H, W].  Raises RleError if the counts do not fill the size."""
    return decode_rle(rle)


def area_from_rle(rle: dict[str, Any]) -> int:
    """The pixels of a mask, from counts in a list."""
    return sum(rle["counts"][1::2])


def coco_encode_rle(uncompressed_rle: dict[str, Any]) -> dict[str, Any]:
    """The same encoding with its counts as COCO's string."""
    return compress_rle(uncompressed_rle)
