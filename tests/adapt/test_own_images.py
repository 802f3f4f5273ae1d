"""The user's images: which are used, how they are prepared, and what is kept of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from small_networks import small_sam

from minisam.adapt import own_images
from minisam.adapt.own_images import MASKS, Kept, OwnImages
from minisam.errors import ImageError


def folder_of(*images):
    """In place of a folder: what reading each image gives, or raises."""

    def read(index):
        if isinstance(images[index], Exception):
            raise images[index]
        return images[index]

    names = [f"{index}.png" for index in range(len(images))]
    return SimpleNamespace(names=names, read=read, skipped={}, path=Path("somewhere"))


def test_an_image_is_prepared_once_with_a_draw_of_its_own(monkeypatch):
    given = []

    def prepare(read, image_size, most, min_area, draw, skipped):
        given.append((read, image_size, most, min_area, draw.integers(10**9), skipped))
        return torch.zeros(3, 4, 5, dtype=torch.uint8), torch.ones(1, 48, 48, dtype=torch.bool)

    monkeypatch.setattr(own_images, "prepare", prepare)
    images = OwnImages(folder_of("a", "b", "c"), 48, 0.125, "cpu")
    for index in (2, 0, 2):
        image, masks = images.read(index)
        assert image.shape == (3, 4, 5) and masks.shape == (1, 48, 48)
    draws = [np.random.default_rng(index).integers(10**9) for index in (2, 0)]
    wanted = [("c", 48, MASKS, 0.125, draws[0]), ("a", 48, MASKS, 0.125, draws[1])]
    assert [one[:-1] for one in given] == wanted and all(one[-1] is images.skipped for one in given)


@pytest.mark.parametrize("error", [ImageError("damaged"), FileNotFoundError("gone")])
def test_an_unusable_image_is_recorded_once_and_not_read_again(error, monkeypatch):
    folder = folder_of(error, error)
    folder.skipped = {"1.png": "before"}
    read = []
    monkeypatch.setattr(folder, "read", lambda i, real=folder.read: read.append(i) or real(i))
    images = OwnImages(folder, 48, 0.0, "cpu")
    assert [images.read(index) for index in (0, 0, 1)] == [None] * 3
    assert read == [0] and set(images.skipped) == {"0.png", "1.png"}


def test_an_embedding_is_the_frozen_encoders_and_computed_once(monkeypatch):
    sam = small_sam().eval()
    pixels = torch.randint(256, (2, 3, 48, 30), dtype=torch.uint8)
    images = OwnImages(folder_of("a", "b"), 48, 0.0, "cpu")
    monkeypatch.setattr(images, "read", lambda index: (pixels[index], torch.ones(1, 48, 48)))
    seen = []
    sam.image_encoder.register_forward_hook(lambda *_: seen.append(1))
    for index in (0, 1, 0, 1):
        found = images.embedding(index, sam)
        assert not found.requires_grad
        with torch.no_grad():
            encoder_input = torch.nn.functional.pad(
                (pixels[index] - sam.pixel_mean) / sam.pixel_std, (0, 18)
            )[None]
            torch.testing.assert_close(found, images.encode(index, sam))
            torch.testing.assert_close(found, sam.image_encoder(encoder_input))
    assert len(seen) == 2 + 2 * 4
    assert images.encode(0, sam).requires_grad


def test_tensors_are_kept_up_to_the_last_byte(monkeypatch):
    monkeypatch.setattr(own_images, "MEMORY", 100)
    kept, floats, byte = Kept(), torch.zeros(5, 3), torch.zeros(40, dtype=torch.uint8)
    kept.add(0, (floats,))
    kept.add(0, (floats,))  # not counted again
    kept.add(1, (floats,))  # 60 bytes more are too many
    kept.add(2, (byte[:20], byte[20:]))
    kept.add(3, (byte[:1],))
    assert set(kept.values) == {0, 2} and kept.bytes == 100
    assert kept.get(1) is None and kept.get(0)[0] is floats
