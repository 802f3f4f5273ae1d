"""Key names of transformers' `SamModel` <-> key names of segment-anything.  The tensors themselves are equal.

There, the point encoding is stored once or twice (`shared_image_embedding` is tied to the prompt encoder's), and the
layers of a small MLP are called proj_in, layers.0 ..., proj_out instead of layers.0, 1, 2 ...
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from minisam.errors import CheckpointError

FOURIER_KEY = "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
NAMES = [
    ("vision_encoder.patch_embed.projection.", "image_encoder.patch_embed.proj."),
    ("vision_encoder.layers.{n}.layer_norm", "image_encoder.blocks.{n}.norm"),
    ("vision_encoder.layers.", "image_encoder.blocks."),
    ("vision_encoder.neck.conv1.", "image_encoder.neck.0."),
    ("vision_encoder.neck.layer_norm1.", "image_encoder.neck.1."),
    ("vision_encoder.neck.conv2.", "image_encoder.neck.2."),
    ("vision_encoder.neck.layer_norm2.", "image_encoder.neck.3."),
    ("vision_encoder.", "image_encoder."),
    ("shared_image_embedding.positional_embedding", FOURIER_KEY),
    ("prompt_encoder.shared_embedding.positional_embedding", FOURIER_KEY),
    ("prompt_encoder.point_embed.", "prompt_encoder.point_embeddings."),
    ("prompt_encoder.mask_embed.conv1.", "prompt_encoder.mask_downscaling.0."),
    ("prompt_encoder.mask_embed.layer_norm1.", "prompt_encoder.mask_downscaling.1."),
    ("prompt_encoder.mask_embed.conv2.", "prompt_encoder.mask_downscaling.3."),
    ("prompt_encoder.mask_embed.layer_norm2.", "prompt_encoder.mask_downscaling.4."),
    ("prompt_encoder.mask_embed.conv3.", "prompt_encoder.mask_downscaling.6."),
    ("mask_decoder.transformer.layers.{n}.layer_norm", "mask_decoder.transformer.layers.{n}.norm"),
    ("mask_decoder.transformer.layer_norm_final_attn.", "mask_decoder.transformer.norm_final_attn."),
    ("mask_decoder.upscale_conv1.", "mask_decoder.output_upscaling.0."),
    ("mask_decoder.upscale_layer_norm.", "mask_decoder.output_upscaling.1."),
    ("mask_decoder.upscale_conv2.", "mask_decoder.output_upscaling.3."),
]
"""Beginnings of names, theirs and ours; the first that matches is replaced. {n} is a number."""
MLP_LAYER = re.compile(
    r"(?P<mlp>mask_decoder\.(?:iou_prediction_head|output_hypernetworks_mlps\.\d+))"
    r"\.(?:(?P<end>proj_in|proj_out)|layers\.(?P<layer>\d{1,3}))\."
)


def is_huggingface(keys: Iterable[str]) -> bool:
    """Whether these are the key names of transformers' `SamModel`, or of its mask decoder."""
    return any(key.startswith(("vision_encoder.layers.", "mask_decoder.upscale_conv1.")) for key in keys)


def rename_huggingface(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """transformers' tensors under segment-anything's key names.

    Raises:
        CheckpointError: two keys name the same tensor and their values differ.
    """
    last = last_layer(tensors) + 2
    renamed: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = _layer_from_huggingface(key, last) or _renamed(key, NAMES)
        if name in renamed and not torch.equal(renamed[name], tensor):
            raise CheckpointError(f"two keys name {name}, and their values differ")
        renamed[name] = tensor
    return renamed


def rename_for_huggingface(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """segment-anything's tensors under transformers' key names."""
    last = last_layer(tensors)
    back = [(ours, theirs) for theirs, ours in NAMES]
    return {
        _layer_for_huggingface(key, last) or _renamed(key, back): tensor for key, tensor in tensors.items()
    }


def last_layer(keys: Iterable[str]) -> int:
    """The highest number of a layer in the small MLPs, or -1."""
    matches = (MLP_LAYER.match(key) for key in keys)
    return max((int(match["layer"]) for match in matches if match and match["layer"]), default=-1)


def _layer_from_huggingface(key: str, last: int) -> str | None:
    if not (match := MLP_LAYER.match(key)):
        return None
    layer = {"proj_in": 0, "proj_out": last}.get(match["end"], int(match["layer"] or 0) + 1)
    return f"{match['mlp']}.layers.{layer}.{key[match.end() :]}"


def _layer_for_huggingface(key: str, last: int) -> str | None:
    if not (match := MLP_LAYER.match(key)):
        return None
    layer = int(match["layer"])
    name = {0: "proj_in", last: "proj_out"}.get(layer, f"layers.{layer - 1}")
    return f"{match['mlp']}.{name}.{key[match.end() :]}"


def _renamed(key: str, names: list[tuple[str, str]]) -> str:
    for before, after in names:
        pattern = re.escape(before).replace(r"\{n\}", r"(\d+)")
        name, count = re.subn(f"^{pattern}", after.replace("{n}", r"\1"), key)
        if count:
            return name
    return key
