"""Key names of transformers' `SamModel` -> key names of segment-anything.  The tensors themselves are equal.

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
RENAMES = [
    (r"vision_encoder\.patch_embed\.projection\.", "image_encoder.patch_embed.proj."),
    (r"vision_encoder\.layers\.(\d+)\.layer_norm", r"image_encoder.blocks.\1.norm"),
    (r"vision_encoder\.layers\.", "image_encoder.blocks."),
    (r"vision_encoder\.neck\.conv1\.", "image_encoder.neck.0."),
    (r"vision_encoder\.neck\.layer_norm1\.", "image_encoder.neck.1."),
    (r"vision_encoder\.neck\.conv2\.", "image_encoder.neck.2."),
    (r"vision_encoder\.neck\.layer_norm2\.", "image_encoder.neck.3."),
    (r"vision_encoder\.", "image_encoder."),
    (r"shared_image_embedding\.positional_embedding$", FOURIER_KEY),
    (r"prompt_encoder\.shared_embedding\.positional_embedding$", FOURIER_KEY),
    (r"prompt_encoder\.point_embed\.", "prompt_encoder.point_embeddings."),
    (r"prompt_encoder\.mask_embed\.conv1\.", "prompt_encoder.mask_downscaling.0."),
    (r"prompt_encoder\.mask_embed\.layer_norm1\.", "prompt_encoder.mask_downscaling.1."),
    (r"prompt_encoder\.mask_embed\.conv2\.", "prompt_encoder.mask_downscaling.3."),
    (r"prompt_encoder\.mask_embed\.layer_norm2\.", "prompt_encoder.mask_downscaling.4."),
    (r"prompt_encoder\.mask_embed\.conv3\.", "prompt_encoder.mask_downscaling.6."),
    (r"mask_decoder\.transformer\.layers\.(\d+)\.layer_norm", r"mask_decoder.transformer.layers.\1.norm"),
    (r"mask_decoder\.transformer\.layer_norm_final_attn\.", "mask_decoder.transformer.norm_final_attn."),
    (r"mask_decoder\.upscale_conv1\.", "mask_decoder.output_upscaling.0."),
    (r"mask_decoder\.upscale_layer_norm\.", "mask_decoder.output_upscaling.1."),
    (r"mask_decoder\.upscale_conv2\.", "mask_decoder.output_upscaling.3."),
]
MLP_LAYER = re.compile(
    r"(?P<mlp>mask_decoder\.(?:iou_prediction_head|output_hypernetworks_mlps\.\d+))"
    r"\.(?:(?P<end>proj_in|proj_out)|layers\.(?P<hidden>\d{1,3}))\."
)


def is_huggingface(keys: Iterable[str]) -> bool:
    """Whether these are the key names of transformers' `SamModel`."""
    return any(key.startswith("vision_encoder.layers.") for key in keys)


def rename_huggingface(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors under segment-anything's key names.

    Raises:
        CheckpointError: two keys name the same tensor and their values differ.
    """
    hidden = [int(match["hidden"]) for key in tensors if (match := MLP_LAYER.match(key)) and match["hidden"]]
    last = max(hidden, default=-1) + 2
    renamed: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        name = _rename(key, last)
        if name in renamed and not torch.equal(renamed[name], tensor):
            raise CheckpointError(f"two keys name {name}, and their values differ")
        renamed[name] = tensor
    return renamed


def _rename(key: str, last_mlp_layer: int) -> str:
    if match := MLP_LAYER.match(key):
        layer = {"proj_in": 0, "proj_out": last_mlp_layer}.get(match["end"], int(match["hidden"] or 0) + 1)
        return f"{match['mlp']}.layers.{layer}.{key[match.end() :]}"
    for pattern, replacement in RENAMES:
        name, count = re.subn(f"^{pattern}", replacement, key)
        if count:
            return name
    return key
