"""Random weights are drawn as they were when the results in docs/ were made; another generator's draws agree too."""

from __future__ import annotations

import json
import math

import pytest
from initial_weights import FILE, NETWORKS, statistics

BEFORE = json.loads(FILE.read_text(encoding="utf-8"))


def differs(now: list[float], before: list[float]) -> bool:
    """Whether two samples have means or standard deviations that chance does not explain (five standard errors)."""
    if len(now) != len(before):
        return True
    if len(now) == 1:
        return not math.isclose(now[0], before[0], rel_tol=1e-4, abs_tol=1e-9)
    (mean, std, count), (old_mean, old_std, old_count) = now, before
    if count != old_count:
        return True
    error = 5 * old_std / math.sqrt(count / 2)
    return abs(mean - old_mean) > error or abs(std - old_std) > error


@pytest.mark.parametrize("network", NETWORKS)
def test_initial_weights_are_drawn_as_they_were(network):
    """A tensor that is gone or new is no change."""
    now, before = statistics(network), BEFORE[network]
    shared = [name for name in before if name in now]
    assert len(shared) > 0.9 * len(before)
    assert [name for name in shared if differs(now[name], before[name])] == []


def test_every_kind_of_difference_is_seen():
    assert not differs([0.0, 1.0, 10000], [0.01, 1.01, 10000]) and not differs([0.5], [0.5])
    for now, before in (
        ([0.0], [1.0]),
        ([0.1, 1.0, 10000], [0.0, 1.0, 10000]),
        ([0.0, 1.1, 10000], [0.0, 1.0, 10000]),
        ([0.0], [0.0, 1.0, 10000]),
        ([0.0, 1.0, 5000], [0.0, 1.0, 10000]),
    ):
        assert differs(now, before)
