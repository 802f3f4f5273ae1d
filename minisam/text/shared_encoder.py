"""A file for text prompts leaves the image encoder out where it is that of the included weights.

    file:     prompt encoder, mask decoder, Clip, ExternalPrompt, and the hash of weights/PRESET.safetensors
    network:  the same, with the image encoder of weights/PRESET.safetensors

`minisam text sam --frozen-encoder` trains such networks.
"""

from __future__ import annotations

import os

from torch import Tensor

from minisam.build import WEIGHTS, build_sam
from minisam.errors import CheckpointError
from minisam.files import sha256_of
from minisam.included import INCLUDED
from minisam.model import Sam

PREFIX = "image_encoder."


def has_included_encoder(sam: Sam, preset: str) -> bool:
    """Whether its image encoder has the included weights of `preset`, number by number."""
    if preset not in INCLUDED:
        return False
    theirs, ours = encoder_of(build_sam(preset)), encoder_of(sam)
    return theirs.keys() == ours.keys() and all(ours[key].cpu().equal(theirs[key]) for key in theirs)


def encoder_of(sam: Sam) -> dict[str, Tensor]:
    """The image encoder's tensors, with their keys of a state dict of the whole network."""
    return {key: tensor for key, tensor in sam.state_dict().items() if key.startswith(PREFIX)}


def hash_of_included(preset: str) -> str:
    return sha256_of(WEIGHTS / f"{preset}.safetensors")


def included_encoder(preset: str, expected_hash: object, path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """The image encoder that `path` left out.  Raises CheckpointError if this version includes another."""
    if preset not in INCLUDED or expected_hash != hash_of_included(preset):
        raise CheckpointError(
            f"{os.fspath(path)}: was trained with an image encoder that this version of minisam does not include; "
            "use the version that it was trained with"
        )
    return encoder_of(build_sam(preset))
