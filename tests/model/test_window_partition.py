from __future__ import annotations

import pytest
import torch

from minisam.model.window_partition import window_partition, window_unpartition


def numbered(height: int, width: int) -> torch.Tensor:
    """[2, H, W, 1], from 1 on, no two equal."""
    return torch.arange(1.0, 2 * height * width + 1).reshape(2, height, width, 1)


@pytest.mark.parametrize(
    ("size", "window", "padded"),
    [((5, 7), 3, (6, 9)), ((6, 9), 3, (6, 9)), ((6, 7), 3, (6, 9)), ((2, 3), 4, (4, 4)), ((2, 3), 1, (2, 3))],
)
def test_windows_lie_row_by_row_and_the_padding_right_and_below(size, window, padded):
    x = numbered(*size)
    windows, found = window_partition(x, window)
    assert found == padded
    expected = []
    for image in x:
        whole = torch.zeros(*padded, 1)
        whole[: size[0], : size[1]] = image
        for top in range(0, padded[0], window):
            expected += [
                whole[top : top + window, left : left + window] for left in range(0, padded[1], window)
            ]
    assert torch.equal(windows, torch.stack(expected))
    assert torch.equal(window_unpartition(windows, window, found, size), x)


def test_a_grid_that_windows_divide_is_not_padded():
    """Another module in the place of window attention gets these windows: their number is its work."""
    windows, padded = window_partition(numbered(6, 6), 3)
    assert padded == (6, 6) and windows.shape == (2 * 4, 3, 3, 1)
    assert windows.min() == 1
