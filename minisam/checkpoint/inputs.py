"""Properties of a network that its tensors do not show: image size, colour statistics, threshold.

Our files store them in the header, beside the geometry, if they differ from a new network's. A network of 256 pixels
that works on 512 keeps its 16 x 16 absolute positions, as segment-anything needs them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from minisam.config import SamConfig
from minisam.errors import CheckpointError
from minisam.model import Sam
from minisam.model.sam import IMAGENET_MEAN, IMAGENET_STD, MAX_TOKENS_A_SIDE

DAMAGED = "has a damaged minisam header; save it again"


def inputs_of(sam: Sam, config: SamConfig) -> dict[str, Any]:
    """The properties that differ from `config` and the defaults, as plain JSON.

    A network in half precision has rounded colour statistics; this rounding does not count as a difference.
    """
    usual = {
        "image_size": config.image_size,
        "pixel_mean": _rounded(IMAGENET_MEAN, sam.pixel_mean.dtype),
        "pixel_std": _rounded(IMAGENET_STD, sam.pixel_std.dtype),
        "mask_threshold": Sam.mask_threshold,
        "image_format": Sam.image_format,
    }
    own = {
        "image_size": sam.image_encoder.img_size,
        "pixel_mean": _rounded(sam.pixel_mean.flatten().tolist()),
        "pixel_std": _rounded(sam.pixel_std.flatten().tolist()),
        "mask_threshold": float(sam.mask_threshold),
        "image_format": sam.image_format,
    }
    return {name: value for name, value in own.items() if value != usual[name]}


def savable_inputs_of(sam: Sam, config: SamConfig) -> dict[str, Any]:
    """`inputs_of`; raises CheckpointError for properties that `check_inputs` would refuse in a file."""
    inputs = inputs_of(sam, config)
    try:
        return check_inputs(inputs, config)
    except CheckpointError:
        named = ", ".join(f"{name} {value}" for name, value in inputs.items())
        raise CheckpointError(f"cannot be saved: no network can be given {named}") from None


def check_inputs(inputs: object, config: SamConfig) -> dict[str, Any]:
    """The output of `inputs_of`, from a file.  Raises CheckpointError if the file holds anything else."""
    checks = {
        "image_size": lambda size: (
            type(size) is int
            and 0 < size <= config.patch_size * MAX_TOKENS_A_SIDE
            and size % config.patch_size == 0
        ),
        "pixel_mean": lambda values: _are_numbers(values) and len(values) == 3,
        "pixel_std": lambda values: _are_numbers(values) and len(values) == 3 and min(values) > 0,
        "mask_threshold": lambda value: _are_numbers([value]),
        "image_format": lambda name: name in ("RGB", "BGR"),
    }
    if not isinstance(inputs, Mapping):
        raise CheckpointError(DAMAGED)
    for name, value in inputs.items():
        if name not in checks or not checks[name](value):
            raise CheckpointError(DAMAGED)
    return dict(inputs)


def set_inputs_(sam: Sam, inputs: Mapping[str, Any]) -> None:
    """Set a network's properties to the `inputs_of` another."""
    if "image_size" in inputs:
        sam.set_image_size(inputs["image_size"])
    for name in ("pixel_mean", "pixel_std"):
        if name in inputs:
            getattr(sam, name).copy_(torch.tensor(inputs[name]).view(-1, 1, 1))
    for name in ("mask_threshold", "image_format"):
        if name in inputs:
            setattr(sam, name, inputs[name])


def _rounded(values: tuple[float, ...] | list[float], dtype: torch.dtype = torch.float32) -> list[float]:
    """The values in float32, after rounding to the network's type."""
    return torch.tensor(values, dtype=torch.float32).to(dtype).float().tolist()


def _are_numbers(values: object) -> bool:
    return isinstance(values, list) and all(
        type(value) in (int, float) and math.isfinite(value) for value in values
    )
