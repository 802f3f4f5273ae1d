"""The images of an engine do not depend on how many there are, and their objects are the visible nodes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from minisam.data.partworld import render_scenes
from minisam.data.partworld.export import SEEDS
from minisam.engine.scenes import UnlabelledPicture, unlabelled_pictures


def test_image_n_is_a_scene_of_its_batch():
    found = list(unlabelled_pictures([1, 6, 9, 17], "train", 32, 3, {"object_scale": 1.5}))
    assert [picture.number for picture in found] == [1, 6, 9, 17]
    for picture in found:
        scenes = render_scenes(3 * SEEDS + picture.number // 8, 8, 32, object_scale=1.5)
        place = picture.number % 8
        assert np.array_equal(picture.image, scenes.images[place].permute(1, 2, 0).numpy())
        level, area = scenes.level[place], scenes.area[place]
        nodes = [node for node in range(len(level)) if level[node] >= 0 and area[node] > 0]
        nodes.sort(key=lambda node: -int(area[node]))
        assert len(picture.objects) == len(nodes)
        for one, node in zip(picture.objects, nodes, strict=True):
            assert torch.equal(one, scenes.labels[place, level[node].long()] == node)


@pytest.mark.parametrize(
    ("share", "count"), [(0, 3), (4 / 64, 3), (5 / 64, 2), (16 / 64, 2), (17 / 64, 1), (1, 0)]
)
def test_an_object_of_exactly_the_smallest_share_counts(share, count):
    objects = torch.zeros(3, 8, 8, dtype=torch.bool)
    objects[0, :5], objects[1, :2], objects[2, 0, :4] = True, True, True
    picture = UnlabelledPicture(0, np.zeros((8, 8, 3), np.uint8), objects)
    assert torch.equal(picture.prominent(share), objects[:count])
