"""The file of a trained detector: what was trained, its configuration, and the hash of the Sam that it stands on.

safetensors header    {"minisam_detector": {"config": {…}, "base": SHA-256 of the base's weights, "image_size": S}}
tensors               the trained parameters, and the running statistics of their norms
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor

from minisam.adapt.rsprompter.config import PrompterConfig
from minisam.adapt.rsprompter.prompter import Prompter, build_prompter
from minisam.checkpoint.checksum import to_safetensors
from minisam.checkpoint.digest import weights_digest
from minisam.checkpoint.formats import first_not_finite, read_tensors
from minisam.detect.region_proposals import ProposalRecipe
from minisam.errors import CheckpointError, MinisamError
from minisam.files import write_atomically
from minisam.model import Sam

KEY = "minisam_detector"


def trained_tensors(prompter: Prompter) -> dict[str, Tensor]:
    """By name: parameters with a gradient, and buffers outside `sam`, without the norms' counts of batches."""
    tensors = {name: value for name, value in prompter.named_parameters() if value.requires_grad}
    buffers = {
        name: value
        for name, value in prompter.named_buffers()
        if not name.startswith("sam.") and value.is_floating_point()
    }
    return {name: value.detach() for name, value in (tensors | buffers).items()}


def save_prompter(prompter: Prompter, base: str, path: str | os.PathLike[str]) -> None:
    """Write a detector, completely or not at all; `base` is the hash of its Sam before training.

    Raises CheckpointError if a value is not finite; nothing is written then.
    """
    tensors = {name: value.cpu().contiguous() for name, value in trained_tensors(prompter).items()}
    if name := first_not_finite(tensors):
        raise CheckpointError(f"{name} holds values that are not finite; nothing was written")
    about = {"config": asdict(prompter.config), "base": base, "image_size": prompter.image_size}
    content = to_safetensors(tensors, {KEY: json.dumps(about)})
    write_atomically(path, lambda file: file.write(content))


def load_prompter(sam: Sam, path: str | os.PathLike[str]) -> Prompter:
    """The detector of a file on `sam`, in evaluation mode; `sam` becomes a part of it.

    Raises CheckpointError if the file is damaged, holds no detector, or one on another Sam.
    """
    name = os.fsdecode(path)
    try:
        tensors, header = read_tensors(path)
        config, base, image_size = about_from_json(header.get(KEY))
        found = weights_digest(sam)
        if found != base:
            raise CheckpointError(
                f"stands on other weights (SHA-256 {base[:12]}…), not these ({found[:12]}…); give the checkpoint "
                "that it was trained on"
            )
        sam.set_image_size(image_size)
        prompter = build_prompter(sam, config)
        own = trained_tensors(prompter)
        if wrong := sorted(own.keys() ^ tensors.keys()):
            raise CheckpointError(f"is damaged: {wrong[0]} is {'missing' if wrong[0] in own else 'too much'}")
        for key, value in own.items():
            if value.shape != tensors[key].shape:
                raise CheckpointError(f"is damaged: {key} has the wrong shape")
    except (CheckpointError, ValueError) as error:
        raise CheckpointError(f"{name}: {error}") from None
    with torch.no_grad():
        for key, value in own.items():
            value.copy_(tensors[key])
    return prompter.eval()


def about_from_json(text: str | None) -> tuple[PrompterConfig, str, int]:
    """Configuration, base and image size; raises CheckpointError for a header not written by `save_prompter`."""
    if text is None:
        raise CheckpointError("holds no detector; `minisam detect train DIR` makes one")
    try:
        about: dict[str, Any] = json.loads(text)
        given: dict[str, Any] = {"most_masks": None, **with_tuples(about["config"])}  # not in older files
        given["proposals"] = ProposalRecipe(**given["proposals"])
        config = PrompterConfig(**{field.name: given[field.name] for field in fields(PrompterConfig)})
        base, image_size = about["base"], about["image_size"]
        if not isinstance(base, str) or not isinstance(image_size, int):
            raise ValueError
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, MinisamError):
        raise CheckpointError("has a damaged header; save the detector again") from None
    return config, base, image_size


def with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Lists of JSON as tuples, also in inner dictionaries."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found[key] = tuple(value) if isinstance(value, list) else value
        if isinstance(value, dict):
            found[key] = with_tuples(value)
    return found
