"""A file with some tensors of a network, such as a mask decoder that was trained alone, put into the whole network.

Their names may begin as in the network, as in the part itself (`transformer.…` for `mask_decoder.transformer.…`), or
with the attribute of another module (`model.mask_decoder.…`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch

from minisam.checkpoint.formats import first_not_finite, printable, read_tensors
from minisam.checkpoint.geometry import Shapes, shapes_of
from minisam.checkpoint.huggingface import is_huggingface, rename_huggingface
from minisam.checkpoint.prefixes import without_wrappers
from minisam.errors import CheckpointError
from minisam.model import Sam

PARTS = ("", "mask_decoder.", "prompt_encoder.", "image_encoder.")


def load_part_into(sam: Sam, path: str | os.PathLike[str]) -> int:
    """Replace the tensors of `sam` that a file has, and return their number.

    Raises CheckpointError, and leaves `sam` unchanged, if the file is damaged or has other tensors.
    """
    try:
        tensors = {without_wrappers(key): tensor for key, tensor in read_tensors(path)[0].items()}
        if is_huggingface(tensors):
            tensors = rename_huggingface(tensors)
        own = shapes_of(sam)
        before, part = names_that_fit(tensors, own)
        tensors = {part + key.removeprefix(before): tensor for key, tensor in tensors.items()}
        for key, tensor in tensors.items():
            if own[key] != tuple(tensor.shape):
                raise CheckpointError(
                    f"{key} is {list(tensor.shape)}, and {list(own[key])} in the base; give the base it belongs to"
                )
        if key := first_not_finite(tensors):
            raise CheckpointError(f"{key} holds NaN or infinite values")
    except CheckpointError as error:
        raise CheckpointError(f"{os.fspath(path)}: {error}") from error.__cause__
    state = sam.state_dict()
    with torch.no_grad():
        for key, tensor in tensors.items():
            state[key].copy_(tensor)
    return len(tensors)


def names_that_fit(keys: Iterable[str], own: Shapes) -> tuple[str, str]:
    """What to take from the beginning of all names, and what to put there, to get names of the network."""
    keys = list(keys)
    words = keys[0].split(".")
    beginnings = ("".join(f"{word}." for word in words[:count]) for count in range(len(words)))
    for before in beginnings:
        for part in PARTS:
            if all(key.startswith(before) and part + key.removeprefix(before) in own for key in keys):
                return before, part
    odd = next((key for key in keys if not any(part + key in own for part in PARTS)), keys[0])
    raise CheckpointError(f"is no part of the base network, which has no {printable(odd)}")
