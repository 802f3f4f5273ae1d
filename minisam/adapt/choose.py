"""A method for a number of images, and its settings, for people who do not want to choose.

The more images there are, the more of the network is trained.  With a frozen image encoder each image is encoded
once, and a step costs only the mask decoder.  The limits and rates here are choices, not measurements.  Experiment E13
compares the methods on 500 images: with nano and three seeds, training everything gained most, and LoRA was not seen to
forget less.  Experiment E13c compares three of them on 5, 50 and 500 (nano, one seed): from 5, only LoRA without the
decoder lost nothing on the new kind of images.
"""

from __future__ import annotations

from dataclasses import dataclass

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


def method_for(images: int) -> tuple[str, str]:
    """The name of a method for so many images to train on, and why."""
    if images < FEW:
        return (
            "decoder",
            f"{images} images are few: only the mask decoder is trained, on embeddings computed once",
        )
    if images < MANY:
        return (
            "lora",
            f"{images} images: low-rank updates of the image encoder, and the mask decoder, are trained",
        )
    return "full", f"{images} images are enough to train the whole network"
