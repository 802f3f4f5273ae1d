import pytest
import torch

from minisam.data.partworld import SceneBatch, render_scenes
from minisam.train.targets import (
    MAX_AREA,
    MIN_AREA,
    eligible_nodes,
    low_resolution_targets,
    node_masks,
    sample_nodes,
)


@pytest.fixture(scope="module")
def scenes():
    return render_scenes(seed=3, batch_size=6, image_size=64)


def test_sampled_nodes_are_eligible(scenes):
    nodes = sample_nodes(scenes, 40, torch.Generator().manual_seed(0))
    share = scenes.area.gather(1, nodes) / 64**2
    assert eligible_nodes(scenes).gather(1, nodes).all()
    assert (share >= MIN_AREA).all() and (share <= MAX_AREA).all()


def test_levels_are_balanced(scenes):
    nodes = sample_nodes(scenes, 6000, torch.Generator().manual_seed(0))
    levels = scenes.level.gather(1, nodes)
    present = [(eligible_nodes(scenes) & (scenes.level == level)).any(dim=1) for level in range(3)]
    with_all = torch.stack(present).all(dim=0)
    assert with_all.any()
    for level in range(3):
        assert abs((levels[with_all] == level).float().mean().item() - 1 / 3) < 0.02


def test_an_image_without_eligible_nodes_gives_its_largest(scenes):
    nodes = sample_nodes(scenes, 3, torch.Generator().manual_seed(0), min_area=2.0)
    assert (nodes == scenes.area.argmax(dim=1, keepdim=True)).all()


def test_masks_are_the_labels_of_the_nodes(scenes):
    nodes = sample_nodes(scenes, 5, torch.Generator().manual_seed(1))
    masks = node_masks(scenes, nodes)
    for image in range(len(nodes)):
        for target, node in enumerate(nodes[image]):
            level = scenes.level[image, node]
            assert masks[image, target].equal(scenes.labels[image, level] == node)
    assert masks.flatten(2).sum(2).equal(scenes.area.gather(1, nodes).long())


def test_low_resolution_targets_are_shares_of_the_pixel():
    mask = torch.zeros(1, 8, 8, dtype=torch.bool)
    mask[0, :4, :3] = True
    assert low_resolution_targets(mask, (2, 2)).tolist() == [[[0.75, 0.0], [0.0, 0.0]]]


def test_a_node_of_exactly_the_smallest_or_largest_area_is_eligible():
    """Of 100 pixels: the whole 90, the part 91, the subpart 1; the fourth entry is no node."""
    empty = torch.full((1, 3, 10, 10), -1, dtype=torch.int16)
    level, area = (
        torch.tensor([[0, 1, 2, -1]], dtype=torch.int8),
        torch.tensor([[90, 91, 1, 50]], dtype=torch.int32),
    )
    scenes = SceneBatch(empty[:, 0].byte(), empty, level, level.short(), area, [[""] * 4])
    assert eligible_nodes(scenes, min_area=0.01).tolist() == [[True, False, True, False]]
    assert eligible_nodes(scenes, min_area=0.0101).tolist() == [[True, False, False, False]]
    assert (MIN_AREA, MAX_AREA) == (1 / 16**2, 0.9)
