"""Moving the encoder of a masked autoencoder into SAM's image encoder (ViTDet, section 3; SAM section A).

    patch embedding, blocks     unchanged: windows change how a block is run, not its weights
    positions                   fixed ones become learned ones; resized to SAM's grid by bicubic interpolation
    relative positions          zero: each block's output is unchanged at first
    neck                        new; class token, last norm and decoder are dropped

If one window covers the grid, SAM's blocks with these weights equal the autoencoder's without masking, except for the
class token, which SAM does not have.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.checkpoint.formats import first_not_finite, read_tensors
from minisam.errors import CheckpointError
from minisam.files import sha256_of
from minisam.model import ImageEncoderViT, Sam
from minisam.model.image_encoder import resize_absolute_positions
from minisam.train.start import Start, random_weights

PATCHES = "patch_embed.proj.weight"
THEIR_NAMES = {"mlp.fc1": "mlp.lin1", "mlp.fc2": "mlp.lin2"}


@torch.no_grad()
def move_trunk_(encoder: ImageEncoderViT, mae: Mapping[str, Tensor]) -> None:
    """Copy the trunk from the state dict of an autoencoder, ours or one with the names of MAE's code.

    Patches of another size are resampled, as MAE's ViT-H of 14 pixels was for SAM's 16.

    Raises CheckpointError if a tensor is missing, has another shape or is not finite; `encoder` is then unchanged.
    """
    parameters = dict(encoder.named_parameters())
    moved = {}
    for key, tensor in mae.items():
        name = re.sub(r"mlp\.fc[12]", lambda match: THEIR_NAMES[match.group()], key)
        if name.startswith(("patch_embed.", "blocks.")):
            moved[name] = tensor
    patch = moved.get(PATCHES)
    if patch is not None and patch.dim() == 4 and PATCHES in parameters:
        moved[PATCHES] = resize_patches(patch, parameters[PATCHES].shape[-1])
    if "pos_embed" in mae and encoder.pos_embed is not None:
        moved["pos_embed"] = as_grid(
            mae["pos_embed"], (encoder.pos_embed.shape[1], encoder.pos_embed.shape[2])
        )
    trunk = {name for name in parameters if not name.startswith("neck.") and "rel_pos" not in name}
    for name in sorted(trunk | moved.keys()):
        found, wanted = (list(t[name].shape) if name in t else None for t in (moved, parameters))
        if found != wanted:
            raise CheckpointError(
                f"this autoencoder does not fit the image encoder: {name} is {found or 'missing'}, "
                f"expected {wanted or 'no such tensor'}; pre-train with the same preset"
            )
    if name := first_not_finite(moved):
        raise CheckpointError(
            f"{name} holds NaN or infinite values; the autoencoder diverged, or the file is damaged"
        )
    for name, tensor in moved.items():
        parameters[name].copy_(tensor)
    for name, parameter in parameters.items():
        if "rel_pos" in name:
            parameter.zero_()


def resize_patches(weight: Tensor, side: int) -> Tensor:
    """[D, 3, p, p] -> [D, 3, side, side], bicubic; constant patches keep their output (SAM's ViT-H: 14 -> 16)."""
    before = weight.shape[-1]
    if before == side:
        return weight
    resized = F.interpolate(weight.float(), (side, side), mode="bicubic", align_corners=False)
    return resized * (before / side) ** 2


def as_grid(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """[L, D], or [1, 1 + L, D] with a class token's first, of a square grid -> [1, *grid, D]."""
    if positions.dim() == 3:
        positions = positions[0, 1:]
    side = round(len(positions) ** 0.5)
    if side * side != len(positions):
        raise CheckpointError(
            f"the positions are those of {len(positions)} tokens, which is not a square grid"
        )
    return resize_absolute_positions(positions.view(1, side, side, -1), grid)


def trunk_of(path: Path) -> Start:
    """Random weights, but for the image encoder, which starts as the one of an autoencoder's file."""

    def start(sam: Sam) -> dict[str, str]:
        started_from = random_weights(sam)
        load_trunk(sam.image_encoder, path)
        return started_from | {"start_from_mae": sha256_of(path)}

    return start


def load_trunk(encoder: ImageEncoderViT, path: str | os.PathLike[str]) -> None:
    """`move_trunk_` from a file: safetensors, or a .pth with only tensors.

    Raises CheckpointError for a file that is damaged or that `move_trunk_` refuses.
    """
    try:
        move_trunk_(encoder, read_tensors(path)[0])
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from None
