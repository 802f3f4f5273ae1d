"""Evaluation scenes: new ones, the same for every batch size, with targets of every level."""

import pytest
import torch
from toy_sam import nested_scenes

from minisam.data.partworld import render_scenes
from minisam.evaluate import targets
from minisam.evaluate.targets import FIRST_SEED, choose_targets, evaluation_scenes
from minisam.train.targets import eligible_nodes


def test_fewer_images_are_the_first_of_more():
    few = list(evaluation_scenes("train", 3, 64))
    many = list(evaluation_scenes("train", 9, 64))
    assert [len(scenes.images) for scenes in many] == [8, 1]
    assert torch.equal(few[0].images, many[0].images[:3])
    assert len(few[0].captions) == 3
    other = next(evaluation_scenes("train", 3, 64, seed=1))
    assert not torch.equal(few[0].images, other.images)


def test_targets_are_eligible_distinct_and_balanced():
    scenes = render_scenes(5, 8, 128)
    images, nodes = choose_targets(scenes, 6, torch.Generator().manual_seed(0))
    assert eligible_nodes(scenes)[images, nodes].all()
    pairs = list(zip(images.tolist(), nodes.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    levels = scenes.level[images, nodes]
    for image in range(8):
        available = [
            int((eligible_nodes(scenes)[image] & (scenes.level[image] == level)).sum()) for level in range(3)
        ]
        chosen = [int((levels[images == image] == level).sum()) for level in range(3)]
        assert sum(chosen) == min(6, sum(available))
        for level in range(3):
            assert chosen[level] == available[level] or chosen[level] >= max(chosen) - 1


def test_targets_depend_on_the_generator_only():
    scenes = render_scenes(5, 4, 128)
    first, again, other = (
        choose_targets(scenes, 3, torch.Generator().manual_seed(seed))[1] for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_no_eligible_node_gives_no_target():
    scenes = nested_scenes(2)
    scenes.area[0] = 1
    images, nodes = choose_targets(scenes, 8, torch.Generator())
    assert images.tolist() == [1, 1, 1]
    assert sorted(nodes.tolist()) == [0, 1, 2]


def test_the_smallest_target_can_be_chosen():
    (scenes,) = evaluation_scenes("train", 8, 64)
    images, nodes = choose_targets(scenes, 20, torch.Generator(), min_area=1 / 64)
    assert (scenes.area[images, nodes] >= 64).all()
    assert len(nodes) < len(choose_targets(scenes, 20, torch.Generator(), min_area=1 / 256)[1])


def test_no_seed_draws_a_scene_of_another(monkeypatch):
    drawn = []

    def render(seed, count, size, **options):
        drawn.append(seed)
        return nested_scenes(count)

    monkeypatch.setattr(targets, "render_scenes", render)
    for seed in range(4):
        assert sum(len(scenes.images) for scenes in evaluation_scenes("train", 20, 32, seed)) == 20
    assert len(drawn) == len(set(drawn)) == 4 * 3 and min(drawn) == FIRST_SEED


def test_scenes_are_drawn_with_all_that_is_given(monkeypatch):
    drawn = []

    def render(*arguments, **options):
        drawn.append((*arguments, options))
        return nested_scenes(8)

    monkeypatch.setattr(targets, "render_scenes", render)
    list(evaluation_scenes("micro", 9, 32, 2, "meta", contrast=0.5, levels=2))
    options = {"world": "micro", "device": "meta", "contrast": 0.5, "levels": 2}
    first = FIRST_SEED + 2 * targets.BATCHES_PER_SEED
    assert drawn == [(first, 8, 32, options), (first + 1, 8, 32, options)]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_every_level_is_as_likely_to_come_first(count):
    scenes = nested_scenes(200)
    image, node = choose_targets(scenes, count, torch.Generator().manual_seed(0), 0.0)
    assert image.bincount().tolist() == [count] * 200
    levels = scenes.level[image, node].long().bincount(minlength=3)
    assert (levels - 200 * count / 3).abs().max() < 25
