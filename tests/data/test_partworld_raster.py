"""The scanline rasteriser against a test of every pixel centre, and the highest bit against Python."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path

from minisam.data.partworld.outlines import FAMILIES, INDEX, outlines
from minisam.data.partworld.raster import highest_bit, rasterise
from minisam.data.partworld.templates import MAX_PIECES, compile_templates
from minisam.data.partworld.worlds import WORLDS

SIZE = 40


def covered(vertices: torch.Tensor) -> torch.Tensor:
    """Pixel centres inside a polygon [2, V], by matplotlib."""
    x, y = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    inside = Path(vertices.T.numpy()).contains_points(np.stack((x.ravel(), y.ravel()), -1))
    return torch.from_numpy(inside.reshape(SIZE, SIZE))


@given(
    kind=st.sampled_from(sorted(set(FAMILIES) - {"ring"})), seed=st.integers(0, 10_000), mirror=st.booleans(),
    turn=st.floats(0, 6.3), radius=st.floats(3, 30),
)  # fmt: skip
@settings(max_examples=80, deadline=None, derandomize=True)
def test_each_bit_is_its_polygon(kind, seed, mirror, turn, radius):
    u = torch.rand(1, 4, generator=torch.Generator().manual_seed(seed))
    shape = outlines(torch.tensor([INDEX[kind]]), u)[0]
    c, s = np.cos(turn), np.sin(turn)
    matrix = torch.tensor([[c, -s], [s, c]], dtype=torch.float32) * radius
    vertices = matrix @ (shape * torch.tensor([[-1.0 if mirror else 1.0], [1.0]])) + SIZE * u[0, :2, None]
    box = torch.tensor([[0, 0, SIZE, SIZE]])
    painted = rasterise(vertices[None], torch.tensor([1 << 61]), torch.tensor([0]), box, SIZE * SIZE)
    assert set(painted.unique().tolist()) <= {0, 1 << 61}
    wrong = (painted > 0).reshape(SIZE, SIZE) != covered(vertices)
    assert wrong.sum() <= 2


def test_a_ring_leaves_its_hole_open():
    vertices = 18 * outlines(torch.tensor([INDEX["ring"]]), torch.full((1, 4), 0.5)) + 20
    painted = rasterise(
        vertices, torch.tensor([1]), torch.tensor([0]), torch.tensor([[0, 0, SIZE, SIZE]]), SIZE**2
    )
    painted = painted.reshape(SIZE, SIZE)
    assert painted[20, 20] == 0 and painted[20, 35] == 1 and painted[4, 20] == 1


def test_a_window_clips_and_bits_add_up():
    square = torch.tensor([[0.0, 10.0, 10.0, 0.0], [0.0, 0.0, 10.0, 10.0]])
    box = torch.tensor([[4, 2, 9, 6], [4, 2, 9, 6]])
    shifted = square + torch.tensor([[5.0], [3.0]])
    painted = rasterise(torch.stack((square, shifted)), torch.tensor([1, 2]), torch.tensor([3, 3]), box, 30)
    expected = torch.zeros(30, dtype=torch.int64)
    expected[3:23] = 1
    window = expected[3:23].view(4, 5)
    window[1:, 1:] += 2
    assert torch.equal(painted, expected)


@given(st.lists(st.integers(1, 2**62 - 1), min_size=1, max_size=20))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_highest_bit(values):
    assert highest_bit(torch.tensor(values)).tolist() == [value.bit_length() - 1 for value in values]
    small = [value % (2**24 - 1) + 1 for value in values]
    assert highest_bit(torch.tensor(small, dtype=torch.int32)).tolist() == [v.bit_length() - 1 for v in small]


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_outlines_fill_their_frame(name):
    u = torch.rand(64, 4, generator=torch.Generator().manual_seed(1))
    shape = outlines(torch.full((64,), INDEX[name]), u)
    assert shape.isfinite().all()
    assert 0.9 < shape.abs().amax((1, 2)).max() <= 1.01


@pytest.mark.parametrize("world", sorted(WORLDS))
def test_templates_are_well_formed(world):
    assert compile_templates(WORLDS[world].templates).shape[1] == MAX_PIECES
    for template in WORLDS[world].templates:
        level = {piece.name: piece.level for piece in reversed(template.pieces)}
        seen: set[str] = set()
        for piece in template.pieces:
            assert not piece.on or piece.on in seen, (template.name, piece.name)
            assert not piece.joins or piece.joins in seen, (template.name, piece.name)
            assert piece.level < 2 or level[piece.on] == 1, (template.name, piece.name)
            assert piece.clipped == bool(piece.on), (template.name, piece.name)
            seen.add(piece.name)
