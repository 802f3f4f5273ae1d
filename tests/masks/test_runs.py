"""Borders of runs: there and back, and everything that is computed from them against the pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minisam.masks.rle import encode_rle
from minisam.masks.runs import (
    area,
    borders_to_columns,
    borders_to_rle,
    box,
    complement,
    mask_to_borders,
)

masks = hnp.arrays(bool, st.tuples(st.integers(1, 13), st.integers(1, 11)))


@settings(max_examples=300, deadline=None, derandomize=True)
@given(masks)
def test_what_borders_say_is_what_the_mask_is(mask):
    borders, size = mask_to_borders(mask.T), mask.shape
    assert (np.diff(borders) > 0).all() and len(borders) % 2 == 0
    np.testing.assert_array_equal(borders_to_columns(borders, size).T, mask)
    assert borders_to_rle(borders, size) == encode_rle(mask)
    assert area(borders) == mask.sum()
    np.testing.assert_array_equal(borders_to_columns(complement(borders, mask.size), size).T, ~mask)
    rows, columns = np.nonzero(mask)
    expected = (columns.min(), rows.min(), columns.max(), rows.max()) if mask.any() else (0, 0, 0, 0)
    assert box(borders, size[0]) == expected


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    masks, st.tuples(st.integers(0, 4), st.integers(0, 4)), st.tuples(st.integers(0, 3), st.integers(0, 3))
)
def test_a_part_of_an_image(mask, corner, margin):
    """Full height and not: runs join across columns only where the part reaches both edges."""
    x, y = corner
    image = np.zeros((y + mask.shape[0] + margin[0], x + mask.shape[1] + margin[1]), bool)
    image[y : y + mask.shape[0], x : x + mask.shape[1]] = mask
    borders = mask_to_borders(mask.T, corner, len(image))
    np.testing.assert_array_equal(borders, mask_to_borders(image.T))
