"""Targets by hand: a scene of 4 × 4 pixels, of which the network sees 2 × 2."""

import torch

from minisam.data.partworld import SceneBatch
from minisam.text.pairs import opening
from minisam.text.targets import draw_targets, scene_size


def scene():
    """A ball of 7 pixels, a part of it of one, and a second ball that is hidden."""
    labels = torch.full((1, 3, 4, 4), -1, dtype=torch.int16)
    labels[0, 0] = torch.tensor([[0, 0, 0, 0], [0, 0, -1, -1], [0, -1, -1, -1], [-1, -1, -1, -1]])
    labels[0, 1, 3, 3] = 1
    images = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    images[..., :2, :2] = torch.tensor([[1, 2], [2, 2]], dtype=torch.uint8)
    return SceneBatch(
        images,
        labels,
        level=torch.tensor([[0, 1, 0]], dtype=torch.int8),
        parent=torch.tensor([[-1, 0, -1]], dtype=torch.int16),
        area=torch.tensor([[7, 1, 0]], dtype=torch.int32),
        captions=[["red plain ball", "red plain dot", "red plain ball"]],
    )


def test_half_a_pixel_is_inside_what_is_less_is_lost_and_what_is_hidden_has_no_name():
    for unique in (False, True):
        targets = draw_targets(scene(), 2, 8, seed=0, min_area=1 / 16, unique=unique)
        assert targets.captions == ["red plain ball"]
        assert targets.masks.tolist() == [[[True, True], [False, False]]]
        assert targets.scene_masks.equal(scene().labels[:, 0] == 0)
        assert targets.image_index.tolist() == [0]


def test_a_pixel_of_the_network_is_the_nearest_to_the_mean():
    images = draw_targets(scene(), 2, 8, seed=0, min_area=1 / 16).images
    assert images[0, 0].tolist() == [[2, 0], [0, 0]]  # 7 / 4


def test_scenes_are_drawn_at_a_multiple_of_the_networks_size():
    assert [scene_size(size) for size in (1, 48, 64, 100, 128, 256)] == [128, 144, 128, 200, 128, 256]


def test_a_name_ends_with_its_word():
    assert opening("light bluebell", ("light", "light blue")) == "light"
    assert opening("light blue bell", ("light", "light blue")) == "light blue"
