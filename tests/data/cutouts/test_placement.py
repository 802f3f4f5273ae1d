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


def test_a_third_of_the_scenes_repeats_three_cutouts():
    for draw, different in ((0.34, 3), (0.36, 12)):
        places = sample_placements(InOrder(randoms=[draw]), 100)
        assert len(places) == 12 and len({place.cutout for place in places}) == different
    assert len({place.cutout for place in sample_placements(InOrder(randoms=[0.0]), 2)}) == 2
