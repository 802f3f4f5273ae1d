"""The training data of CLIP: masks of scenes, and a text for each.

A caption names everything, "red striped wheel of the car".  Users write less, and in other orders; half of the texts
are therefore shorter: "striped red wheel", "red wheel".  Scenes are drawn at a larger size than the input of SAM's
smallest network, because textures need pixels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from minisam.data.partworld import SceneBatch
from minisam.evaluate.targets import choose_targets
from minisam.text.vocabulary import COLOURS, textures

SCENE_SIZE = 128
WHOLE_CAPTION = 0.5
"""The share of texts that are the unchanged caption."""


class Pairs(NamedTuple):
    """P masks [P, S, S] of scenes, the image of each [P], its caption, and a text that is true of it."""

    masks: Tensor
    image_index: Tensor
    captions: list[str]
    texts: list[str]


def draw_pairs(
    scenes: SceneBatch, per_image: int, seed: int, min_area: float, whole_caption: float = WHOLE_CAPTION
) -> Pairs:
    """At most `per_image` nodes of every scene, each at most once, of all levels; `min_area` is a fraction."""
    generator = torch.Generator().manual_seed(seed)
    image, node = choose_targets(scenes, per_image, generator, min_area)
    masks = scenes.labels[image, scenes.level[image, node].long()] == node[:, None, None]
    captions = [scenes.captions[i][k] for i, k in zip(image.tolist(), node.tolist(), strict=True)]
    draws = torch.rand(2, len(captions), generator=generator).tolist()
    texts = [
        caption if whole < whole_caption else pick(phrasings(caption), choice)
        for caption, whole, choice in zip(captions, *draws, strict=True)
    ]
    return Pairs(masks, image, captions, texts)


def phrasings(caption: str) -> list[str]:
    """Shorter true texts for "<colour> <texture> <part> of the <object>"."""
    colour = opening(caption, COLOURS)
    texture = opening(caption.removeprefix(colour + " "), textures())
    thing = caption.removeprefix(f"{colour} {texture} ")
    part = thing.split(" of the ")[0]
    return [
        f"{texture} {colour} {thing}",
        f"{colour} {thing}",
        f"{colour} {texture} {part}",
        f"{texture} {colour} {part}",
        f"{colour} {part}",
    ]


def opening(text: str, names: list[str] | tuple[str, ...]) -> str:
    """The longest of the names that the text begins with."""
    return max((name for name in names if text.startswith(name + " ")), key=len)


def pick(choices: list[str], draw: float) -> str:
    """The item that a number in [0, 1) selects."""
    return choices[int(draw * len(choices))]
