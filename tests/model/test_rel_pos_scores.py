from __future__ import annotations

import pytest
import torch

from minisam.model.rel_pos_scores import add_decomposed_rel_pos, get_rel_pos

SIZES = [(3, 3), (4, 2), (2, 4), (3, 2), (2, 3), (5, 3), (3, 5), (1, 4), (4, 1)]


def row(i: int, j: int, q_size: int, k_size: int) -> int:
    """The row of query i and key j: their offset, from the most negative one on, and rounded down."""
    a, b = max(k_size / q_size, 1), max(q_size / k_size, 1)
    return int(a * i - b * j + b * (k_size - 1))


@pytest.mark.parametrize(("q_size", "k_size"), SIZES)
def test_each_pair_has_the_row_of_its_offset_rounded_down(q_size, k_size):
    table = torch.arange(2.0 * max(q_size, k_size) - 1)[:, None]
    expected = [[row(i, j, q_size, k_size) for j in range(k_size)] for i in range(q_size)]
    assert get_rel_pos(q_size, k_size, table)[..., 0].tolist() == expected


def test_half_an_offset_is_rounded_down():
    """Offsets of three queries to two keys: 1.5, 0; 2.5, 1; 3.5, 2."""
    assert get_rel_pos(3, 2, torch.arange(5.0)[:, None])[..., 0].tolist() == [[1, 0], [2, 1], [3, 2]]


@pytest.mark.parametrize(("q_size", "k_size"), [((2, 3), (4, 2)), ((4, 3), (2, 5))])
def test_scores_have_the_terms_of_their_rows_and_columns(q_size, k_size):
    generator = torch.Generator().manual_seed(0)
    (q_h, q_w), (k_h, k_w) = q_size, k_size
    scores = torch.randn(2, q_h * q_w, k_h * k_w, generator=generator)
    q = torch.randn(2, q_h * q_w, 4, generator=generator)
    rows = torch.randn(2 * max(q_h, k_h) - 1, 4, generator=generator)
    columns = torch.randn(2 * max(q_w, k_w) - 1, 4, generator=generator)
    expected = scores.clone()
    for n in range(q_h * q_w):
        for m in range(k_h * k_w):
            down, across = row(n // q_w, m // k_w, q_h, k_h), row(n % q_w, m % k_w, q_w, k_w)
            expected[:, n, m] += q[:, n] @ (rows[down] + columns[across])
    found = add_decomposed_rel_pos(scores, q, rows, columns, q_size, k_size)
    torch.testing.assert_close(found, expected)
