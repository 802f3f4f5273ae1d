"""A method for a number of images, and its settings, for people who do not want to choose.

The more images there are, the more of the network is trained.  The limits and rates here are choices, not
measurements.  Experiment E13 compares the methods on 500 images: with nano and three seeds, training everything gained
most, and LoRA was not seen to forget less.  Experiment E13c compares four of them on 5, 50 and 500 (nano, one seed):
from 5, only LoRA without the decoder lost nothing on the new kind of images, and the decoder alone, the cheapest
because each image is encoded once, lost 0.026 IoU.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

FEW, MANY = 20, 2000


@dataclass(frozen=True)
class Settings:
    """How a method is trained: the rates of SAM's own weights and of the added ones."""

    lr: float
    added_lr: float
    steps: int


SETTINGS: dict[str, Settings] = {
    "iou": Settings(lr=1e-3, added_lr=1e-3, steps=1000),
    "token": Settings(lr=1e-3, added_lr=1e-3, steps=600),
    "decoder": Settings(lr=1e-4, added_lr=1e-4, steps=600),
    "late": Settings(lr=5e-5, added_lr=5e-5, steps=600),
    "full": Settings(lr=5e-5, added_lr=5e-5, steps=1000),
    "lora": Settings(lr=1e-4, added_lr=1e-3, steps=600),
    "adapter": Settings(lr=1e-4, added_lr=1e-3, steps=600),
    "hq": Settings(lr=1e-4, added_lr=1e-3, steps=1000),
}


class Choice(NamedTuple):
    """The name of a method, whether the mask decoder is trained as well, and why."""

    method: str
    decoder: bool
    reason: str


def method_for(images: int) -> Choice:
    """A method for so many images to train on."""
    if images < FEW:
        return Choice(
            "lora",
            False,
            f"{images} images are few, and would spoil the mask decoder: low-rank updates of the image encoder are "
            "trained",
        )
    if images < MANY:
        return Choice(
            "lora",
            True,
            f"{images} images: low-rank updates of the image encoder, and the mask decoder, are trained",
        )
    return Choice("full", True, f"{images} images are enough to train the whole network")
