"""Deformable and masked attention against loops, and against transformers' sampling in plain torch."""

from __future__ import annotations

import pytest
import torch

from minisam.detect.deformable_attention import DeformableAttention, cell_places, first_offsets
from minisam.detect.masked_attention import MaskedAttention

GRIDS = [(4, 6), (2, 3)]


@pytest.fixture
def attention():
    torch.manual_seed(0)
    made = DeformableAttention(8, heads=2, levels=2, points=3).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def test_it_equals_the_sampling_of_transformers(attention):
    detr = pytest.importorskip(
        "transformers.models.deformable_detr.modeling_deformable_detr",
        reason="pip install transformers brings Deformable DETR's attention in plain torch",
    )
    tokens = torch.randn(2, 30, 8, dtype=torch.float64)
    queries = torch.randn(2, 30, 8, dtype=torch.float64)
    offsets = attention.offsets(queries).view(2, 30, 2, 2, 3, 2)
    size = torch.tensor([(w, h) for h, w in GRIDS])
    places = cell_places(GRIDS, torch.device("cpu"))[:, None, None, None] + offsets / size[:, None]
    weights = attention.weights(queries).view(2, 30, 2, 6).softmax(3).view(2, 30, 2, 2, 3)
    values = attention.value(tokens).view(2, 30, 2, 4)
    mixed = detr.MultiScaleDeformableAttention()(values, size.flip(1), GRIDS, None, places, weights, 64)
    torch.testing.assert_close(attention(queries, tokens, GRIDS), attention.out(mixed))


def test_places_are_the_middles_of_cells_level_by_level():
    places = cell_places([(1, 2), (2, 1)], torch.device("cpu"))
    assert places.tolist() == [[0.25, 0.5], [0.75, 0.5], [0.5, 0.25], [0.5, 0.75]]


def test_at_first_each_head_looks_in_its_own_direction_with_equal_weights():
    attention = DeformableAttention(8, heads=4, levels=1, points=2)
    offsets = attention.offsets(torch.randn(1, 8)).view(4, 2, 2)
    torch.testing.assert_close(offsets[0], torch.tensor([[1.0, 0.0], [2.0, 0.0]]))
    torch.testing.assert_close(offsets[1], torch.tensor([[0.0, 1.0], [0.0, 2.0]]), atol=1e-6, rtol=0)
    assert attention.weights(torch.randn(1, 8)).abs().max() == 0


def test_a_query_sees_only_what_it_may_and_everything_if_that_is_nothing():
    torch.manual_seed(0)
    attention = MaskedAttention(8, heads=2)
    q, k, v = torch.randn(1, 3, 8), torch.randn(1, 5, 8), torch.randn(1, 5, 8)
    allowed = torch.zeros(1, 3, 5, dtype=torch.bool)
    allowed[0, 0, 2] = allowed[0, 1, 1:3] = True
    out = attention(q, k, v, allowed)
    torch.testing.assert_close(out[0, 0], attention.out(attention.v(v[0, 2])))
    torch.testing.assert_close(out[0, 2:], attention(q, k, v)[0, 2:])
    torch.testing.assert_close(out[:, 1:2], attention(q[:, 1:2], k[:, 1:3], v[:, 1:3]))


@pytest.mark.parametrize("heads", [1, 4, 8])
def test_each_head_looks_first_along_its_own_direction(heads):
    """Point n lies n cells away along the longer axis: on the edges of squares around the token."""
    offsets = first_offsets(heads, 2, 3)
    assert offsets.shape == (heads, 2, 3, 2)
    torch.testing.assert_close(offsets.abs().amax(dim=3), torch.arange(1, 4).float().expand(heads, 2, 3))
    torch.testing.assert_close(offsets[:, :, 2], 3 * offsets[:, :, 0])
    assert len({tuple(one) for one in offsets[:, 0, 0].round(decimals=4).tolist()}) == heads
