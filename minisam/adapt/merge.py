"""An adapted network as a plain one: its updates merged into the weights, where that is possible."""

from __future__ import annotations

from minisam.adapt.lora import merge_lora
from minisam.adapt.methods import Adaptation
from minisam.errors import CheckpointError
from minisam.model import Sam


def merged(adapted: Adaptation) -> Sam:
    """The same network without additional layers, in place; every program for segment-anything can load it.

    Raises CheckpointError for adapters and the HQ token, whose layers SAM does not have, MinisamError for updates that
    are not finite.
    """
    name = adapted.method.name
    if name in ("adapter", "hq"):
        raise CheckpointError(
            f"the method {name!r} adds layers that a plain SAM does not have; give the file as --adapter instead"
        )
    merge_lora(adapted.sam)
    return adapted.sam.requires_grad_(True)
