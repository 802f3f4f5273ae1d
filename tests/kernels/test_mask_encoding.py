from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from strategies import batches, grids, normal, seeds

from minisam_kernels.reference.mask_encoding import mask_encoding


def draw_weights(seed, hidden, dim):
    shapes = {
        "0.weight": (hidden, 1, 2, 2), "0.bias": (hidden,), "1.weight": (hidden,), "1.bias": (hidden,),
        "3.weight": (4 * hidden, hidden, 2, 2), "3.bias": (4 * hidden,), "4.weight": (4 * hidden,),
        "4.bias": (4 * hidden,), "6.weight": (dim, 4 * hidden, 1, 1), "6.bias": (dim,),
    }  # fmt: skip
    return {key: normal(seed + i, *shape) for i, (key, shape) in enumerate(shapes.items())}


@given(seed=seeds, batch=batches, grid=grids)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_each_cell_sees_its_own_4_by_4_logits(seed, batch, grid):
    weights = draw_weights(seed, 2, 3)
    mask = normal(seed, batch, 1, 4 * grid[0], 4 * grid[1])
    out = mask_encoding(mask, weights)
    assert out.shape == (batch, 3, *grid)
    i, j = seed % grid[0], seed % grid[1]
    alone = mask_encoding(mask[:, :, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4], weights)
    np.testing.assert_allclose(out[:, :, i, j], alone[:, :, 0, 0], rtol=1e-9, atol=1e-11)


def test_what_norm_and_gelu_leave_by_hand():
    """One hidden channel per norm: its output is its bias, 2 then 3, for any mask."""
    weights = draw_weights(0, 1, 1)
    weights |= {"1.bias": np.array([2.0]), "4.bias": np.array([3.0] * 4), "4.weight": np.zeros(4)}
    weights |= {"6.weight": np.ones((1, 4, 1, 1)), "6.bias": np.array([0.5])}
    out = mask_encoding(normal(0, 1, 1, 4, 4), weights)
    np.testing.assert_allclose(out, 4 * 2.9959502 + 0.5, rtol=1e-6)
