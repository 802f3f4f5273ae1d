"""Placements by hand: how many objects, and when a scene repeats a few of them; and what each is drawn from."""

import math

import numpy as np
from drawn_by_hand import DrawnByHand

from minisam.data.cutouts.placement import Kind, placements_of, sample_placements


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


def test_what_an_object_is_drawn_from():
    """Sizes are log-uniform: half of the objects are smaller than the geometric mean of the two limits."""
    places = placements_of(np.random.default_rng(0), Kind(1.0, 6000, 6000, 0.05, 0.8), 10)

    def shares(values, *limits):
        return np.histogram(values, limits)[0] / len(values)

    side = np.log([place.side for place in places])
    quarters = np.linspace(math.log(0.05), math.log(0.8), 5)
    np.testing.assert_allclose(shares(side, *quarters), 0.25, atol=0.02)
    for axis in (0, 1):
        centre = [place.centre[axis] for place in places]
        np.testing.assert_allclose(shares(centre, *np.linspace(0.02, 0.98, 5)), 0.25, atol=0.02)
    stretch = np.log([place.stretch for place in places])
    assert abs(stretch.mean()) < 0.004 and abs(stretch.std() - 0.08) < 0.003
    assert abs(np.mean([place.mirrored for place in places]) - 0.5) < 0.02
    angle = np.array([place.angle for place in places])
    far = np.abs(angle) > 0.6  # five standard deviations of the small angles
    assert abs(far.mean() - 0.25 * (1 - 0.6 / math.pi)) < 0.02
    np.testing.assert_allclose(shares(angle[far], *(np.pi * np.linspace(-1, 1, 3))), 0.5, atol=0.04)
    assert np.abs(angle).max() <= math.pi and np.median(np.abs(angle[~far])) < 0.12
