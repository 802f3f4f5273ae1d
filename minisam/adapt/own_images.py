"""The user's images and their masks at the network's scale, decoded once, and their embeddings, computed once.

An embedding can be kept only if the image encoder is frozen and the image is always the same: without random flips.

S side of the network's input   h, w of the image in it   m masks of an image
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from minisam.data.segmentation_folder import SegmentationFolder
from minisam.data.skipped import Skipped
from minisam.errors import DatasetError, MinisamError
from minisam.model import Sam
from minisam.train.pictures import prepare

MASKS = 32
"""The most masks of an image that are used."""
MEMORY = 2**31
"""Bytes of decoded images, and of embeddings, that are kept; images beyond them are decoded or encoded again."""


class OwnImages:
    """Images of a folder by number; unusable ones are recorded in `skipped` and have no masks."""

    def __init__(self, folder: SegmentationFolder, image_size: int, min_area: float, device: str) -> None:
        self.folder, self.image_size, self.min_area, self.device = folder, image_size, min_area, device
        self.skipped = Skipped(folder.skipped)
        self.kept = Kept()
        self.embeddings = Kept()

    def usable(self, indices: Sequence[int], most: int | None = None) -> list[int]:
        """The first `most` of `indices` that have a mask.  Raises DatasetError if there are none."""
        found = list(islice((index for index in indices if self.read(index) is not None), most))
        if not found:
            raise DatasetError(
                f"{self.folder.path}: no image has a mask that can be used; {self.skipped.summary()}"
            )
        return found

    def read(self, index: int) -> tuple[Tensor, Tensor] | None:
        """uint8 [3, h, w] and masks [m, S, S] bool, m >= 1; None if the image cannot be used."""
        if (known := self.kept.get(index)) is not None:
            return known[0], known[1]
        name = self.folder.names[index]
        if name in self.skipped:
            return None
        try:
            draw = np.random.default_rng(index)
            image, masks = prepare(
                self.folder.read(index), self.image_size, MASKS, self.min_area, draw, self.skipped
            )
        except (MinisamError, OSError) as error:
            self.skipped.add(name, error)
            return None
        self.kept.add(index, (image, masks))
        return image, masks

    @torch.no_grad()
    def embedding(self, index: int, sam: Sam) -> Tensor:
        """[1, E, h, w] of an image, from the frozen image encoder; computed once."""
        if (known := self.embeddings.get(index)) is not None:
            return known[0].to(self.device)
        embedding = self.encode(index, sam)
        self.embeddings.add(index, (embedding.cpu(),))
        return embedding

    def encode(self, index: int, sam: Sam) -> Tensor:
        """[1, E, h, w] of an image that can be used."""
        found = self.read(index)
        assert found is not None, "only usable images are encoded"
        return sam.image_encoder(sam.preprocess(found[0].to(self.device))[None])


class Kept:
    """Tensors by number, up to MEMORY bytes; later ones are not kept."""

    def __init__(self) -> None:
        self.values: dict[int, tuple[Tensor, ...]] = {}
        self.bytes = 0

    def get(self, index: int) -> tuple[Tensor, ...] | None:
        return self.values.get(index)

    def add(self, index: int, tensors: tuple[Tensor, ...]) -> None:
        size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        if index not in self.values and self.bytes + size <= MEMORY:
            self.values[index] = tensors
            self.bytes += size
