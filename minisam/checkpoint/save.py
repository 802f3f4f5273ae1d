"""A checkpoint file: ours is safetensors, with the geometry and metadata as plain JSON in its header.

A name that ends in .pth or .pt means a file of torch.save, with the tensors alone, as segment-anything reads it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from minisam.checkpoint.checksum import to_safetensors
from minisam.checkpoint.formats import first_not_finite
from minisam.checkpoint.geometry import METADATA_KEY, config_of, config_to_json, shapes_in
from minisam.checkpoint.identify import identify
from minisam.checkpoint.inputs import savable_inputs_of
from minisam.checkpoint.prefixes import without_wrappers
from minisam.checkpoint.rebuildable import REMEDY, check_rebuildable, unwrapped
from minisam.config import SamConfig
from minisam.errors import CheckpointError
from minisam.files import write_atomically
from minisam.model import Sam

TORCH_SUFFIXES = (".pth", ".pt")


def save_checkpoint(
    sam: Sam,
    path: str | os.PathLike[str],
    metadata: Mapping[str, Any] | None = None,
    dtype: Literal["float32", "float16"] = "float32",
) -> None:
    """Write the network atomically; `metadata` is anything that JSON can hold, up to 64 kB.

    float16 halves the file, and applies only to parameters: the Fourier matrix of the point encoding stays float32,
    because rounding it would move every point.

    For a network wrapped by torch.compile or DataParallel, the network inside is saved.

    Raises:
        CheckpointError: a layer is replaced by another (LoRA) or has other settings (eps of a norm), which
            load_checkpoint could not build; a weight is NaN, infinite or too large for `dtype`; `metadata` is
            not plain JSON; or there is some and the name ends in .pth or .pt.
        OSError: see `minisam.files.write_atomically`.
    """
    tensors, config, inputs = savable(sam, dtype)
    if Path(os.fsdecode(path)).suffix.lower() in TORCH_SUFFIXES:
        if metadata:
            raise CheckpointError(
                "a .pth or .pt file holds no metadata; use a name that ends in .safetensors"
            )
        write_atomically(path, lambda file: torch.save(tensors, file))
        return
    content = to_safetensors(tensors, {METADATA_KEY: config_to_json(config, metadata or {}, inputs)})
    write_atomically(path, lambda file: file.write(content))


def savable(sam: Sam, dtype: str = "float32") -> tuple[dict[str, torch.Tensor], SamConfig, dict[str, Any]]:
    """What a file holds: the tensors on the CPU, the geometry, and the properties of inputs.py.

    Raises CheckpointError if they do not describe the network completely, or a value is not finite.
    """
    sam = unwrapped(sam)
    weights = {without_wrappers(key): tensor for key, tensor in sam.state_dict().items()}
    if packed := next((key for key, value in weights.items() if not isinstance(value, torch.Tensor)), None):
        raise CheckpointError(
            f"cannot be saved: {packed} is not a tensor, as in a quantised network; save before quantising it"
        )
    shapes = shapes_in(weights)
    try:
        identified = identify(shapes)
    except CheckpointError as error:
        raise CheckpointError(f"cannot be saved: it {error}; {REMEDY}") from None
    config = config_of(sam, identified)
    check_rebuildable(sam, config, shapes)
    inputs = savable_inputs_of(sam, config)
    stored = stored_type(dtype)
    parameters = {without_wrappers(name) for name, _ in sam.named_parameters()}
    tensors = {
        key: tensor.detach().to("cpu", stored if key in parameters else torch.float32).contiguous()
        for key, tensor in weights.items()
    }
    if key := first_not_finite(tensors):
        raise CheckpointError(f"{key} holds values that are not finite in {dtype}; nothing was written")
    return tensors, config, inputs


def stored_type(dtype: str) -> torch.dtype:
    """The type of the parameters in a file.  Raises CheckpointError for anything but "float32" and "float16"."""
    if dtype not in ("float32", "float16"):
        raise CheckpointError(f"a network is saved with dtype 'float32' or 'float16', not {dtype!r}")
    return torch.float32 if dtype == "float32" else torch.float16
