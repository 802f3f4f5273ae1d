"""The rate of CLIP's training."""

import pytest

from minisam.text.run import warm_then_cosine


def test_the_rate_rises_in_a_line_and_falls_by_half_a_cosine():
    rates = [warm_then_cosine(step, 110, 10) for step in (0, 4, 9, 10, 60, 110)]
    assert rates == pytest.approx([0.1, 0.5, 1, 1, 0.5, 0])
    assert warm_then_cosine(0, 1, 1) == 1
