"""The measuring tools: turns alternate, ratios are of rounds, memory is the peak."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest
import torch

from minisam.bench import measure
from minisam.bench.measure import (
    commit,
    comparison_lines,
    in_own_process,
    peak_memory,
    ratio_of_rounds,
    take_turns,
    versions,
)

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


def test_the_table_of_a_comparison():
    seconds, peaks = (
        {"theirs": [4.0, 2.0, 3.0], "ours": [1.0, 1.5, 1.25]},
        {"theirs": 2 * 10**9, "ours": 5 * 10**8},
    )
    lines = [line.split() for line in comparison_lines(seconds, peaks, 0.4, 0.25)]
    assert lines[0] == ["time,", "median", "fastest", "peak", "memory"]
    assert lines[1:] == [
        ["theirs", "3.00", "s", "2.00", "s", "2.00", "GB"],
        ["ours", "1.25", "s", "1.00", "s", "0.50", "GB"],
        ["ratio", "0.400", "0.250"],
    ]
    assert len(comparison_lines(seconds, peaks, None, None)) == 3


@pytest.mark.parametrize(
    ("head", "changes", "named"),
    [("abc", "", "abc"), ("abc", " M a.py", "abc+"), ("", "", "unknown"), ("", " M a.py", "unknown")],
)
def test_a_commit_has_a_plus_where_tracked_files_differ(head, changes, named, monkeypatch):
    def git(*words):
        return head if words == ("rev-parse", "HEAD") else changes

    monkeypatch.setattr(measure, "_git", git)
    assert commit() == named


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_files_that_git_does_not_track_are_no_difference(monkeypatch, tmp_path):
    def git(*words):
        subprocess.run(
            ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", *words], check=True
        )

    monkeypatch.setattr(measure, "PROJECT", tmp_path)
    git("init", "-q")
    assert commit() == "unknown"
    (tmp_path / "a.py").write_text("1")
    git("add", "a.py")
    git("commit", "-qm", "first")
    (tmp_path / "b.py").write_text("2")
    first = commit()
    assert len(first) == 40
    (tmp_path / "a.py").write_text("3")
    assert commit() == f"{first}+"


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
