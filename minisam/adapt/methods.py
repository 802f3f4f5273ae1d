"""The methods for adapting a Sam, by name, with their settings.

iou        train the head that predicts the IoU       token    the decoder's output tokens
decoder    the whole mask decoder
late       and the last blocks and the neck           full     everything
lora       low-rank updates of frozen layers (lora.py)
adapter    bottlenecks in each block (adapters.py)    hq       one more token for fine masks (hq_token.py)
"""

from __future__ import annotations

from dataclasses import dataclass

from minisam.adapt.adapters import add_adapters
from minisam.adapt.hq_token import Mode, add_hq_token
from minisam.adapt.lora import add_lora
from minisam.adapt.places import RECIPES, freeze, trained_names
from minisam.checkpoint.digest import weights_digest
from minisam.errors import MinisamError
from minisam.model import Sam

METHODS = (*RECIPES, "lora", "adapter", "hq")


@dataclass(frozen=True)
class Method:
    """A name of METHODS and its settings; each method uses only its settings."""

    name: str
    decoder: bool = True
    """Train the mask decoder in addition to LoRA or adapters."""
    blocks: tuple[int, ...] | None = None
    """Blocks of the image encoder, counted from 0, for LoRA and adapters; None for all."""
    rank: int = 4
    scale: float = 1.0
    on: tuple[str, ...] = ("q", "v")
    """The layers that LoRA updates: q, k, v, proj, mlp."""
    late: int = 2
    """The number of late blocks."""
    mode: Mode = "add"
    """The masks that are shown with an HQ token."""

    def __post_init__(self) -> None:
        if self.name not in METHODS:
            raise MinisamError(f"no way to adapt is called {self.name!r}; use {', '.join(METHODS)}")

    def apply(self, sam: Sam) -> list[str]:
        """Change `sam` in place, with the same output as before; returns the names of the trained parameters."""
        if self.name in RECIPES:
            return freeze(sam, self.name, self.late)
        if self.name == "adapter":
            return add_adapters(sam, self.blocks, self.decoder)
        if self.name == "hq":
            return add_hq_token(sam, self.mode)
        add_lora(sam, self.rank, self.scale, self.on, self.blocks)
        sam.mask_decoder.requires_grad_(self.decoder)
        return trained_names(sam)


@dataclass(frozen=True)
class Adaptation:
    """An adapted network, its method, and the hash of its base weights."""

    sam: Sam
    method: Method
    base: str
    """The hash of all weights of the base network."""


def adapt(sam: Sam, method: Method) -> Adaptation:
    """Prepare `sam`, in place, to be trained by a method.

    Raises MinisamError if the method does not fit the network.
    """
    base = weights_digest(sam)
    method.apply(sam)
    return Adaptation(sam, method, base)
