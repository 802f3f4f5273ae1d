from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import normal, seeds

from minisam_kernels.reference.mask_bits import mask_bits

heights = st.sampled_from([1, 2, 31, 32, 33, 64, 70])


def words_of(logits: np.ndarray, threshold: float = 0.0) -> np.ndarray:
    axes = ((np.arange(count, dtype=np.int32), np.ones((count, 1))) for count in logits.shape[1:])
    return mask_bits(logits, *next(axes), *next(axes), threshold)


@given(seed=seeds, height=heights, width=st.integers(1, 5), threshold=st.sampled_from([-0.5, 0.0, 1.0]))
@settings(max_examples=40, deadline=None, derandomize=True)
def test_each_bit_is_its_pixel_and_there_is_room_below(seed, height, width, threshold):
    logits = normal(seed, 2, height, width)
    words = words_of(logits, threshold)
    assert words.dtype == np.int32 and words.shape == (2, width, height // 32 + 1)
    for mask, x in np.ndindex(2, width):
        for y in range(32 * words.shape[2]):
            bit = int(words[mask, x, y // 32]) >> y % 32 & 1
            assert bit == (y < height and logits[mask, y, x] > threshold)


def test_changes_are_where_runs_start_and_end():
    """The equation of the file, on a column that is set to its last row."""
    logits = np.full((1, 40, 2), -1.0)
    logits[0, 5:12, 0] = logits[0, 30:40, 0] = 1
    words = words_of(logits)[0, 0].astype(np.uint32).astype(np.uint64)
    column = int(words[0] | words[1] << np.uint64(32))
    changes = column ^ column << 1
    assert [row for row in range(64) if changes >> row & 1] == [5, 12, 30, 40]
