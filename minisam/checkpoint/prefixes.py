"""Removes the prefixes that wrappers put before the names of a network's tensors.

module.        DataParallel, DistributedDataParallel        _orig_mod.    torch.compile
model., sam.   an attribute of a user's module, for example Lightning's
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

from minisam.errors import CheckpointError

Value = TypeVar("Value")

WRAPPERS = re.compile(r"(?:(?<=\.)|^)(?:_orig_mod|module|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
PATCHES = re.compile(r"((?:.*?\.)?)(?:image|vision)_encoder\.patch_embed\.proj(?:ection)?\.weight")


def without_wrappers(name: str) -> str:
    """A tensor's or a module's name without the wrappers around it or around its parent modules."""
    return WRAPPERS.sub("", f"{name}.").removesuffix(".")


def without_prefixes(tensors: Mapping[str, Value]) -> dict[str, Value]:
    """The network's tensors under its own names; unchanged if there is no network's patch embedding.

    Raises CheckpointError if two tensors get the same name, or if there are other tensors beside a network with a
    prefix.
    """
    named = {without_wrappers(key): tensor for key, tensor in tensors.items()}
    prefix = next((match[1] for key in named if (match := PATCHES.fullmatch(key))), None)
    if prefix is None:
        return dict(tensors)
    if len(named) < len(tensors):
        raise CheckpointError("has the same tensors twice, with and without a wrapper's name before theirs")
    others = [key for key in named if not key.startswith(prefix)]
    if others:
        raise CheckpointError(
            f"holds a network under {prefix[:40]!r} and {len(others)} other tensors ({others[0][:40]!r}, ...); "
            "save only the network, by its state_dict()"
        )
    return {key.removeprefix(prefix): tensor for key, tensor in named.items()}
