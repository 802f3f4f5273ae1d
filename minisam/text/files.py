"""The file format of text models: safetensors, with the geometry and the words as JSON in the header."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from minisam.checkpoint.checksum import to_safetensors
from minisam.checkpoint.formats import first_not_finite, read_tensors
from minisam.checkpoint.rebuildable import REMEDY
from minisam.errors import CheckpointError
from minisam.files import write_atomically
from minisam.model.sam import IMAGENET_MEAN, IMAGENET_STD
from minisam.text.clip import Clip, ClipConfig
from minisam.text.tokenizer import Tokenizer

KEY = "minisam_text"


def write_clip(path: str | os.PathLike[str], clip: Clip) -> None:
    """Weights in float32, geometry and words.  Raises CheckpointError as `check_clip`."""
    check_clip(clip)
    write_bundle(path, clip.state_dict(), {"clip": describe_clip(clip)})


def check_clip(clip: Clip) -> None:
    """Raises CheckpointError if the weights do not fit `describe_clip`, because a layer is wrapped."""
    try:
        build_clip(clip.state_dict(), {"clip": describe_clip(clip)}, "")
    except CheckpointError:
        raise CheckpointError(
            f"cannot be saved: a layer of its CLIP is replaced by another; {REMEDY}"
        ) from None


def read_clip(path: str | os.PathLike[str]) -> Clip:
    """A CLIP in evaluation mode.  Raises CheckpointError if the file is damaged or has other content."""
    tensors, about = read_bundle(path)
    return build_clip(tensors, about, path)


def describe_clip(clip: Clip) -> dict[str, Any]:
    return {"config": asdict(clip.config), "words": clip.tokenizer.words}


def build_clip(tensors: Mapping[str, Tensor], about: Mapping[str, Any], path: str | os.PathLike[str]) -> Clip:
    """The Clip that `describe_clip` described, with these weights."""
    try:
        config = ClipConfig(**about["clip"]["config"])
        tokenizer = Tokenizer(about["clip"]["words"], config.context_length)
        with torch.device("meta"):
            clip = Clip(config, tokenizer)
        clip.load_state_dict(tensors, strict=True, assign=True)
    except (KeyError, TypeError, ValueError, RuntimeError, ZeroDivisionError) as error:
        raise CheckpointError(f"{os.fspath(path)}: holds no CLIP that fits its own description") from error
    clip.visual.pixel_mean = torch.tensor(IMAGENET_MEAN, dtype=torch.float32).view(3, 1, 1)
    clip.visual.pixel_std = torch.tensor(IMAGENET_STD, dtype=torch.float32).view(3, 1, 1)
    return clip.eval()


def write_bundle(
    path: str | os.PathLike[str], tensors: Mapping[str, Tensor], about: Mapping[str, Any]
) -> None:
    """Write tensors and a description of them, completely or not at all."""
    content = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    data = to_safetensors(content, {KEY: json.dumps(about)})
    write_atomically(path, lambda file: file.write(data))


def read_bundle(path: str | os.PathLike[str]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of `write_bundle` in float32 and their description.

    Raises CheckpointError if the file is damaged, was not written by `write_bundle`, or has values that are not
    finite.
    """
    try:
        tensors, header = read_tensors(path)
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from None
    try:
        about = json.loads(header[KEY])
        if not isinstance(about, dict):
            raise ValueError
    except (KeyError, ValueError):
        raise CheckpointError(
            f"{os.fspath(path)}: has no weights for text or images as prompts; give a file of `minisam text`, "
            "or none for the included weights"
        ) from None
    floats = {key: tensor.float() for key, tensor in tensors.items()}
    if key := first_not_finite(floats):
        raise CheckpointError(f"{os.fspath(path)}: {key} has values that are not finite")
    return floats, about
