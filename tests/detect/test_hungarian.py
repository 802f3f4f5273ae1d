"""The cheapest matching against scipy's, by its cost, since several matchings may cost the same."""

import numpy as np
import pytest

from minisam.detect.hungarian import cheapest_matching
from minisam.errors import MinisamError


def random_costs(rng: np.random.Generator) -> np.ndarray:
    """Any shape up to 14 × 14; whole numbers, with many ties, or real ones, some of them large."""
    shape = rng.integers(0, 15, 2)
    return rng.choice(
        [rng.normal(size=shape), rng.integers(-3, 4, shape).astype(float), rng.normal(size=shape) * 1e6]
    )


def check(count: int, seed: int) -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="pip install -e '.[test]' brings scipy")
    rng = np.random.default_rng(seed)
    for _ in range(count):
        cost = random_costs(rng)
        rows, columns = cheapest_matching(cost)
        assert len(rows) == len(columns) == min(cost.shape)
        assert (np.diff(rows) > 0).all() and len(set(columns.tolist())) == len(columns)
        best = cost[optimize.linear_sum_assignment(cost)].sum()
        assert cost[rows, columns].sum() == pytest.approx(best, rel=1e-12, abs=1e-9)


def test_its_cost_equals_scipys():
    check(300, 0)


@pytest.mark.slow
def test_its_cost_equals_scipys_ten_thousand_times():
    check(10_000, 1)


def test_by_hand():
    """The nearest column of both rows is the first; together it is cheaper to give it to the second row."""
    rows, columns = cheapest_matching([[1.0, 2.0, 9.0], [1.0, 5.0, 9.0]])
    assert rows.tolist() == [0, 1] and columns.tolist() == [1, 0]
    rows, columns = cheapest_matching([[1.0, 1.0], [2.0, 5.0], [9.0, 9.0]])
    assert rows.tolist() == [0, 1] and columns.tolist() == [1, 0]


def test_it_does_not_depend_on_the_order_of_rows_and_columns():
    rng = np.random.default_rng(5)
    cost = rng.normal(size=(6, 9))
    by_row, by_column = rng.permutation(6), rng.permutation(9)
    first = dict(zip(*cheapest_matching(cost), strict=True))
    second = dict(zip(*cheapest_matching(cost[by_row][:, by_column]), strict=True))
    assert {by_row[row]: by_column[column] for row, column in second.items()} == first


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_costs_that_are_not_finite_are_refused_with_their_place(wrong):
    cost = np.zeros((3, 4))
    cost[2, 1] = wrong
    with pytest.raises(MinisamError, match="row 2 and column 1"):
        cheapest_matching(cost)
    with pytest.raises(MinisamError, match="3 axes"):
        cheapest_matching(np.zeros((2, 2, 2)))
