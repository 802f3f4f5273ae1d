"""Small detectors and labelled images for the tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from minisam.adapt.rsprompter.config import small_config
from minisam.adapt.rsprompter.prompter import Prompter, build_prompter
from minisam.config import CONFIGS, build_from_config
from minisam.data.coco import coco_annotation
from minisam.data.segmentation_folder import Picture, Segment

CLASSES = ("disc", "square")


def small_prompter(variant: str = "anchor", classes: tuple[str, ...] = CLASSES, **changes) -> Prompter:
    torch.manual_seed(0)
    sam = build_from_config(CONFIGS["nano"])
    return build_prompter(sam, replace(small_config(sam, variant, classes), **changes))


class DrawnImages:
    """Images with discs and squares, `objects` in each of them in turn."""

    def __init__(self, objects: tuple[int, ...] = (2, 1), size: tuple[int, int] = (64, 64)) -> None:
        self.categories = {7: "disc", 9: "square"}
        self.names = [f"drawn {n}" for n in range(len(objects))]
        self.pictures = [
            drawn(name, count, size, n)
            for n, (name, count) in enumerate(zip(self.names, objects, strict=True))
        ]

    def read(self, index: int) -> Picture:
        return self.pictures[index]

    def fingerprint(self) -> str:
        return "drawn"


def drawn(name: str, count: int, size: tuple[int, int], seed: int) -> Picture:
    rng = np.random.default_rng(seed)
    image = np.full((*size, 3), 60, np.uint8)
    y, x = np.mgrid[: size[0], : size[1]]
    segments = []
    for number in range(count):
        centre = np.array([(number + 0.5) / count, rng.uniform(0.3, 0.7)]) * (size[1], size[0])
        away = np.stack([np.abs(x - centre[0]), np.abs(y - centre[1])])
        category = (7, 9)[number % 2]
        mask = (away**2).sum(axis=0) < 144 if category == 7 else away.max(axis=0) < 12
        image[mask] = (220, 180)[number % 2], 40, 90
        encoded = coco_annotation(mask, 1, 1)["segmentation"]
        segments.append(Segment(f"{name}#{number}", encoded, size, category=category))
    return Picture(name, image, segments)
