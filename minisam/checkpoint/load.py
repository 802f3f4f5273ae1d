"""From a checkpoint to a network: official .pth, Hugging Face's files and folders, and our own safetensors.

    read the tensors -> remove wrappers' prefixes -> segment-anything's key names -> which geometry?
    -> every name and shape fits? -> every value finite? -> float32 -> network -> its image size

Every step may refuse the file with a one-line error; no file is loaded partly.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import Any

import torch

from minisam.checkpoint.formats import WHOLE, read_tensors
from minisam.checkpoint.geometry import (
    METADATA_KEY,
    build_without_memory,
    check_geometry,
    config_from_json,
    name_of,
    record_from_json,
    shapes_of,
)
from minisam.checkpoint.huggingface import is_huggingface, rename_huggingface
from minisam.checkpoint.huggingface_folder import read_folder
from minisam.checkpoint.identify import check_fits, identify_fitting
from minisam.checkpoint.inputs import check_inputs, set_inputs_
from minisam.checkpoint.prefixes import without_prefixes
from minisam.config import SamConfig
from minisam.errors import CheckpointError
from minisam.model import Sam
from minisam.model.sam import IMAGENET_MEAN, IMAGENET_STD

SHARD = re.compile(r"-\d{5}-of-(\d{5})\.(?!.*/)")


def load_checkpoint(path: str | os.PathLike[str]) -> Sam:
    """The network in a checkpoint file, or in a folder of transformers' save_pretrained.

    It is of any size, in evaluation mode, float32, on the CPU.

    Raises:
        CheckpointError: the file is damaged, or does not hold a Segment Anything network.
    """
    state_dict, config, inputs = _read(path)
    # The network is built without memory and takes over the tensors: no random weights have to be overwritten.
    sam = build_without_memory(config)
    sam.load_state_dict(state_dict, strict=True, assign=True)
    sam.pixel_mean = torch.tensor(IMAGENET_MEAN, dtype=torch.float32).view(-1, 1, 1)
    sam.pixel_std = torch.tensor(IMAGENET_STD, dtype=torch.float32).view(-1, 1, 1)
    set_inputs_(sam, inputs)
    return sam


def load_state_dict_into(sam: Sam, path: str | os.PathLike[str]) -> None:
    """Replace the weights of `sam` by those of a checkpoint file, and its image size if the file has one.

    Raises:
        CheckpointError: as `load_checkpoint`, or the file holds a network of another geometry.
    """
    state_dict, config, inputs = _read(path)
    shapes = shapes_of(sam)
    differing = [key for key, tensor in state_dict.items() if shapes.get(key) != tuple(tensor.shape)]
    if differing or len(shapes) != len(state_dict):
        key = (differing or sorted(shapes.keys() - state_dict.keys()))[0]
        found = list(state_dict[key].shape) if key in state_dict else "missing"
        wanted = list(shapes[key]) if key in shapes else "no such tensor"
        raise CheckpointError(
            f"{os.fspath(path)}: holds {name_of(config)} weights, which do not fit this network: "
            f"{key} is {found}, expected {wanted}; use load_checkpoint, which builds the right network"
        )
    sam.load_state_dict(state_dict, strict=True)
    set_inputs_(sam, inputs)


def load_state_dict(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], SamConfig]:
    """Every weight as float32 under segment-anything's key names, and the geometry of the network.

    Raises:
        CheckpointError: see `load_checkpoint`.
    """
    state_dict, config, _ = _read(path)
    return state_dict, config


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, torch.Tensor], SamConfig, dict[str, Any]]:
    """Weights, geometry, and the properties of inputs.py."""
    if not isinstance(path, str | bytes | os.PathLike):
        raise CheckpointError(f"a checkpoint must be the path of a file, got a {type(path).__name__}")
    path = os.fsdecode(path)
    try:
        header, heads, inputs = {}, None, {}
        if os.path.isdir(path):
            tensors, heads, inputs = read_folder(path)
        else:
            tensors, header = read_tensors(path)
        tensors = without_prefixes(tensors)
        if is_huggingface(tensors):
            tensors = rename_huggingface(tensors)
        shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
        if METADATA_KEY in header:
            config, _, inputs = record_from_json(header[METADATA_KEY])
            check_fits(config, shapes)
        else:
            config = identify_fitting(shapes)
            config = replace(config, decoder_heads=config.decoder_heads if heads is None else heads)
            check_geometry(config)
        inputs = check_inputs(inputs, config)
        return {key: _finite(key, tensor) for key, tensor in tensors.items()}, config, inputs
    except CheckpointError as error:
        shards = SHARD.search(os.fspath(path))
        what = f"is one of {int(shards[1])} shards of a network; {WHOLE}" if shards else error
        raise CheckpointError(f"{os.fspath(path)}: {what}") from error.__cause__


def read_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The `metadata` passed to `save_checkpoint`; {} for a file of another origin, and for a folder.

    Raises:
        CheckpointError: the file is damaged.
    """
    if os.path.isdir(path):
        return {}
    try:
        _, header = read_tensors(path)
        return config_from_json(header[METADATA_KEY])[1] if METADATA_KEY in header else {}
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from error.__cause__


def _finite(key: str, tensor: torch.Tensor) -> torch.Tensor:
    """A float32 copy in new memory: the file may be replaced while the network is in use."""
    values = tensor.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    if not values.isfinite().all():
        raise CheckpointError(
            f"{key} holds NaN or infinite values; training diverged, or the file is damaged"
        )
    return values
