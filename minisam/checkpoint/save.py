"""Our own checkpoint file: safetensors, with the geometry and any remarks as plain JSON in its header."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import safetensors.torch
import torch

from minisam.checkpoint.formats import first_not_finite
from minisam.checkpoint.geometry import METADATA_KEY, config_of, config_to_json, shapes_of
from minisam.checkpoint.identify import identify
from minisam.errors import CheckpointError
from minisam.files import write_atomically
from minisam.model import Sam


def save_checkpoint(
    sam: Sam,
    path: str | os.PathLike[str],
    metadata: Mapping[str, Any] | None = None,
    dtype: Literal["float32", "float16"] = "float32",
) -> None:
    """Write the network atomically; `metadata` is anything that JSON can hold, up to 64 kB.

    float16 halves the file, and is for the parameters only: the Fourier matrix of the point encoding stays
    float32, because its rounding would move every point.

    Raises:
        CheckpointError: a weight is NaN, infinite or too large for `dtype`, or `metadata` is not plain JSON.
        OSError: see `minisam.files.write_atomically`.
    """
    header = config_to_json(config_of(sam, identify(shapes_of(sam))), metadata or {})
    stored = {"float32": torch.float32, "float16": torch.float16}[dtype]
    parameters = dict(sam.named_parameters())
    tensors = {
        key: tensor.detach().to("cpu", stored if key in parameters else torch.float32).contiguous()
        for key, tensor in sam.state_dict().items()
    }
    if key := first_not_finite(tensors):
        raise CheckpointError(f"{key} holds values that are not finite in {dtype}; nothing was written")
    content = safetensors.torch.save(tensors, metadata={METADATA_KEY: header})
    write_atomically(path, lambda file: file.write(content))
