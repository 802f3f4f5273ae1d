"""The cheapest matching of rows to columns, each used at most once (Kuhn 1955; shortest augmenting paths: Jonker and
Volgenant 1987).

    minimise  Σ cost[row, column of row]        n rows, m columns, n <= m (otherwise transposed)

Every row r and column c has a price u_r, v_c with  cost[r, c] − u_r − v_c >= 0, and = 0 where they are matched: such a
matching is the cheapest.  The rows are added one by one. A new row looks for a free column along the path with the
smallest sum of reduced costs (Dijkstra); it may take a matched column, whose row must then move on. The distances of
the visited nodes become changes of their prices, and the columns move along the path.  O(n² · m).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from minisam.errors import MinisamError

FREE = -1


def cheapest_matching(cost: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Costs [n, m] -> rows and columns of min(n, m) pairs, rows increasing.  Costs may be negative.

    Raises MinisamError if a cost is not finite.
    """
    costs = np.asarray(cost, np.float64)
    if costs.ndim != 2:
        raise MinisamError(f"costs must be a matrix of rows and columns, got {costs.ndim} axes")
    if not np.isfinite(costs).all():
        row, column = np.argwhere(~np.isfinite(costs))[0]
        raise MinisamError(f"the cost of row {row} and column {column} is not finite: the loss has diverged")
    if costs.shape[0] > costs.shape[1]:
        columns, rows = cheapest_matching(costs.T)
        order = rows.argsort()
        return rows[order], columns[order]
    n, m = costs.shape
    row_price, column_price = np.zeros(n), np.zeros(m)
    column_of, row_of = np.full(n, FREE), np.full(m, FREE)
    for row in range(n):
        insert(row, costs, row_price, column_price, column_of, row_of)
    return np.arange(n), column_of


def insert(
    new: int,
    costs: NDArray[np.float64],
    row_price: NDArray[np.float64],
    column_price: NDArray[np.float64],
    column_of: NDArray[np.int64],
    row_of: NDArray[np.int64],
) -> None:
    """Match one more row; prices and matching change in place."""
    distance, came_from = np.full(len(row_of), np.inf), np.full(len(row_of), new)
    open_columns = np.ones(len(row_of), bool)
    row, so_far = new, 0.0
    while True:
        through = so_far + costs[row] - row_price[row] - column_price
        nearer = open_columns & (through < distance)
        distance[nearer], came_from[nearer] = through[nearer], row
        column = int(np.where(open_columns, distance, np.inf).argmin())
        so_far = distance[column]
        if row_of[column] == FREE:
            break
        open_columns[column] = False
        row = int(row_of[column])

    # The prices of visited nodes change by what lies between them and the end of the path
    visited = np.flatnonzero(~open_columns)
    row_price[new] += so_far
    row_price[row_of[visited]] += so_far - distance[visited]
    column_price[visited] -= so_far - distance[visited]

    # From the end of the path, each column takes the row before it, which leaves its own column
    while column != FREE:
        row = int(came_from[column])
        row_of[column], column_of[row], column = row, column, int(column_of[row])
