"""Matching against scipy, at every number of pixels; and by brute force over assignments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minisam.evaluate.edge_matching import match_edges, match_in_order, nearby_pixels, search

optimize = pytest.importorskip("scipy.optimize", reason="pip install -e '.[test]' brings scipy")
sparse = pytest.importorskip("scipy.sparse", reason="pip install -e '.[test]' brings scipy")


def pairs_by_assignment(neighbours: list[list[int]], targets: int) -> int:
    """The most pairs, as a linear assignment that pays 1 for each."""
    allowed = np.zeros((len(neighbours), max(targets, 1)))
    for left, reach in enumerate(neighbours):
        allowed[left, reach] = 1
    return int(allowed[optimize.linear_sum_assignment(allowed, maximize=True)].sum())


@given(st.lists(st.lists(st.integers(0, 7), max_size=4, unique=True), max_size=10))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_every_prefix_is_matched_as_well_as_it_can_be(neighbours):
    matched = match_in_order(neighbours, 8)
    for count in range(len(neighbours) + 1):
        assert matched[:count].sum() == pairs_by_assignment(neighbours[:count], 8)


def test_a_closed_region_is_not_entered_again():
    came_from: dict[int, int] = {}
    neighbours, owner, closed = [[0], [0, 1, 2]], [0, -1, -1], [True, False, True]
    assert search(1, neighbours, owner, closed, came_from) == 1 and came_from == {1: 1}
    assert search(0, neighbours, owner, closed, came_from) is None and came_from == {1: 1}


@pytest.mark.parametrize("seed", range(6))
def test_random_pictures_equal_scipy_at_every_strength(seed):
    rng = np.random.default_rng(seed)
    size = (int(rng.integers(5, 40)), int(rng.integers(5, 40)))
    truth = rng.random(size) < rng.choice([0.02, 0.1, 0.4])
    strength = rng.integers(0, 8, size) / 8 * (rng.random(size) < 0.3)
    tolerance = float(rng.choice([0, 1, 1.5, 2.9]))
    falling, matched = match_edges(strength, truth, tolerance)
    assert len(falling) == (strength > 0).sum() and (np.diff(falling) <= 0).all()
    targets = np.argwhere(truth)
    for level in np.unique(falling):
        predicted = np.argwhere(strength >= level)
        distance = np.hypot(*(predicted[:, None] - targets[None]).transpose(2, 0, 1))
        graph = sparse.csr_array((distance <= tolerance).astype(int))
        pairs = sparse.csgraph.maximum_bipartite_matching(graph, perm_type="column")
        assert matched[: len(predicted)].sum() == (pairs >= 0).sum()


def test_neighbours_are_within_the_tolerance_nearest_first():
    rng = np.random.default_rng(0)
    truth = rng.random((20, 30)) < 0.3
    rows, columns = rng.integers(20, size=50), rng.integers(30, size=50)
    targets = np.argwhere(truth)
    found = nearby_pixels(rows, columns, truth, 2.5)
    for row, column, near in zip(rows, columns, found, strict=True):
        distance = np.hypot(targets[:, 0] - row, targets[:, 1] - column)
        assert set(near) == set(np.flatnonzero(distance <= 2.5))
        assert (np.diff(distance[near]) >= 0).all()


def test_an_edge_drawn_twice_is_right_once():
    truth, strength = np.zeros((30, 30), bool), np.zeros((30, 30))
    truth[:, 10] = True
    strength[:, 10], strength[:, 12] = 0.9, 0.4
    falling, matched = match_edges(strength, truth, tolerance=2.5)
    assert matched[falling > 0.5].all() and not matched[falling < 0.5].any()
    assert not match_edges(strength[:, ::-1], truth, tolerance=2.5)[1].any()


def test_the_tolerance_is_a_share_of_the_diagonal():
    truth, strength = np.zeros((300, 400), bool), np.zeros((300, 400))
    truth[5, 5] = strength[5, 8] = True
    assert match_edges(strength, truth)[1].tolist() == [True]
    strength = np.roll(strength, 1, axis=1)
    assert match_edges(strength, truth)[1].tolist() == [False]


def test_nothing_against_nothing():
    nothing = np.zeros((4, 5))
    assert len(match_edges(nothing, nothing > 0)[1]) == 0
    assert match_edges(nothing + 1, nothing > 0)[1].tolist() == [False] * 20
