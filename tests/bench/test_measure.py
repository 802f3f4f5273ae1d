"""The measuring tools: turns alternate, ratios are of rounds, memory is the peak."""

from __future__ import annotations

import time

import pytest
import torch

from minisam.bench.measure import in_own_process, peak_memory, ratio_of_rounds, take_turns, versions

SIZE = 400 * 2**20


def test_turns_alternate_and_are_timed():
    order = []

    def contestant(name: str, seconds: float):
        return lambda: (order.append(name), time.sleep(seconds))

    seconds = take_turns({"quick": contestant("quick", 0.001), "slow": contestant("slow", 0.05)}, 3)
    assert order == ["quick", "slow"] * 3
    assert [len(rounds) for rounds in seconds.values()] == [3, 3]
    assert min(seconds["slow"]) >= 0.05 > sorted(seconds["quick"])[1]


def test_ratio_survives_a_round_in_which_all_are_slow():
    assert ratio_of_rounds([1.0, 10.0, 1.2], [2.0, 20.0, 2.0]) == 0.5


def peak_while_holding(count: int) -> int:
    """The peak after `count` bytes have come and gone."""
    torch.ones(count, dtype=torch.uint8)
    return peak_memory()


def test_peak_memory_remembers_what_is_gone():
    before = peak_memory()
    assert peak_while_holding(SIZE) >= max(before, SIZE)


@pytest.mark.slow
def test_peak_memory_of_a_fresh_process_is_its_own():
    """A large launching process must not show: Linux's ru_maxrss would inherit it."""
    held = torch.ones(SIZE, dtype=torch.uint8)
    small, large = (in_own_process(peak_while_holding, size) for size in (1, SIZE))
    assert held.numel() * 0.9 < large - small < held.numel() * 1.1


def test_versions_leave_out_what_is_not_installed():
    found = versions("numpy", "a-package-that-is-not-there")
    assert found.keys() == {"python", "torch", "numpy"}
