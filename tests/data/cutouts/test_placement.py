"""Placements by hand: how many objects, and when a scene repeats a few of them."""

import numpy as np
from drawn_by_hand import DrawnByHand

from minisam.data.cutouts.placement import sample_placements


class InOrder(DrawnByHand):
    """Draws the third kind of scene, the largest number of a range, and cut-outs 0, 1, 2, …"""

    def choice(self, kinds, p):
        assert sum(p) == 1 and kinds == len(p)
        return 2

    def integers(self, low, high=None, size=None):
        return (high or low) - 1 if size is None else np.arange(size) % low


def test_layered_scenes_have_large_objects_behind_small_ones():
    random = np.random.default_rng(0)
    scenes = [sample_placements(random, 100, layered=1.0) for _ in range(300)]
    assert {len(places) for places in scenes} == set(range(3, 10))
    sides = [[place.side for place in places] for places in scenes]
    assert all(one == sorted(one, reverse=True) for one in sides)
    assert min(map(min, sides)) < 0.09 and max(map(max, sides)) > 1.25
    assert np.mean([one[0] / one[-1] > 3 for one in sides]) > 0.7


def test_the_share_of_layered_scenes():
    random = np.random.default_rng(1)
    scenes = [sample_placements(random, 100, layered=0.4) for _ in range(800)]
    spread = [max(p.side for p in places) / min(p.side for p in places) > 4.6 for places in scenes]
    alone = [sample_placements(random, 100) for _ in range(800)]
    assert not any(max(p.side for p in places) / min(p.side for p in places) > 4.6 for places in alone)
    assert 0.15 < np.mean(spread) < 0.4


def test_without_layered_scenes_nothing_else_is_drawn():
    """The world photo stays as it is."""
    one, two = (sample_placements(np.random.default_rng(3), 9, *layered) for layered in ((), (0.0,)))
    assert one == two


def test_a_third_of_the_scenes_repeats_three_cutouts():
    for draw, different in ((0.34, 3), (0.36, 12)):
        places = sample_placements(InOrder(randoms=[draw]), 100)
        assert len(places) == 12 and len({place.cutout for place in places}) == different
    assert len({place.cutout for place in sample_placements(InOrder(randoms=[0.0]), 2)}) == 2
