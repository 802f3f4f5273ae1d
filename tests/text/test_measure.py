"""Captions of other objects: those of other images where there are any."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from minisam.text.measure import captions_of_others


def others(image_index: list[int], seed: int) -> list[int]:
    """For each object the number of the one whose caption it gets."""
    captions = [str(number) for number in range(len(image_index))]
    targets = SimpleNamespace(image_index=torch.tensor(image_index), captions=captions)
    return [int(caption) for caption in captions_of_others(targets, seed)]  # pyright: ignore[reportArgumentType]


def test_a_caption_is_of_another_image_and_of_any_of_its_objects():
    images = [0, 0, 0, 1, 1, 2]
    drawn = [others(images, seed) for seed in range(40)]
    for given in drawn:
        assert all(images[other] != own for other, own in zip(given, images, strict=True))
    for place, own in enumerate(images):
        assert {given[place] for given in drawn} == {n for n, image in enumerate(images) if image != own}
    assert others(images, 7) == drawn[7]


def test_of_a_single_image_it_is_any_of_its_captions():
    assert set(others([4, 4, 4], 0)) <= {0, 1, 2}
