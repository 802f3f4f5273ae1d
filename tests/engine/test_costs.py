"""Seconds by hand: finding and clicking, and following the outline of an error."""

from __future__ import annotations

import pytest
import torch

from minisam.engine.costs import Costs, outline_length

COSTS = Costs(find=1, click=2, look=4, pick_up=8, trace=16)


def region(rows: slice, columns: slice, size: int = 10) -> torch.Tensor:
    mask = torch.zeros(size, size, dtype=torch.bool)
    mask[rows, columns] = True
    return mask


@pytest.mark.parametrize(("clicks", "seconds"), [(0, 1), (1, 7), (3, 19)])
def test_every_click_is_looked_at(clicks, seconds):
    assert COSTS.clicking(clicks) == seconds


@pytest.mark.parametrize(
    ("mask", "length"),
    [
        (region(slice(0), slice(0)), 0),
        (region(slice(4, 5), slice(4, 5)), 1),
        (region(slice(3, 6), slice(3, 6)), 8),
        (region(slice(0, 3), slice(0, 3)), 8),
        (region(slice(7, 10), slice(7, 10)), 8),
        (region(slice(2, 8), slice(3, 6)), 14),
        (region(slice(None), slice(None)), 36),
    ],
)
def test_an_outline_is_the_pixels_beside_something_else(mask, length):
    assert outline_length(mask) == outline_length(mask.T) == length


def test_the_brush_follows_what_is_wrong():
    thing, mask = region(slice(2, 8), slice(2, 8)), region(slice(2, 8), slice(2, 5))
    assert COSTS.brushing(thing, thing) == 0
    assert COSTS.brushing(mask, thing) == COSTS.brushing(thing, mask) == 8 + 16 * 14 / 10
