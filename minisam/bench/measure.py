"""Time and peak memory of a computation, measured for comparison on a busy machine.

Time: the contestants take turns in one process, A B A B …; other load on the machine then slows all of them equally.
The ratio is the median over the rounds.  Memory: each contestant runs in a separate process, whose peak the operating
system records.
"""

from __future__ import annotations

import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import torch
from tqdm import tqdm

from minisam.errors import MinisamError

Result = TypeVar("Result")
PROJECT = Path(__file__).parents[2]
OURS, ORIGINAL = "minisam", "segment-anything"


def take_turns(contestants: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each contestant in each of `repeats` rounds.  Run each once before, as a warm-up."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    with tqdm(total=repeats * len(contestants), desc="timing", disable=None, leave=False) as bar:
        for _ in range(repeats):
            for name, run in contestants.items():
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
                bar.update()
    return seconds


def ratio_of_rounds(ours: list[float], theirs: list[float]) -> float:
    """The median over the rounds of ours / theirs."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def in_own_process(function: Callable[..., Result], *arguments: object) -> Result:
    """`function(*arguments)` in a fresh process; everything must be importable and picklable."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(function, *arguments).result()
        except BrokenProcessPool:
            raise MinisamError(
                "the measuring process was ended by the system, perhaps because memory ran out; "
                "measure something smaller, or close other programs"
            ) from None


def peak_memory() -> int:
    """The most memory, in bytes, that this process has held so far.

    On Linux this is not `ru_maxrss`, which starts at the size of the parent process.
    """
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def processor_name() -> str:
    """The model of this machine's processor."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def versions(*packages: str) -> dict[str, str]:
    """The versions of Python, torch and the installed ones among `packages`."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version(), "torch": torch.__version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit that is measured, with a plus sign if files differ from it; "unknown" outside a repository."""
    found = _git("rev-parse", "HEAD")
    return (
        found + ("+" if found and _git("status", "--porcelain", "--untracked-files=no") else "") or "unknown"
    )


def _git(*words: str) -> str:
    try:
        return subprocess.run(
            ["git", "-C", str(PROJECT), *words], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def comparison_lines(
    seconds: dict[str, list[float]],
    peak_bytes: dict[str, int],
    time_ratio: float | None,
    memory_ratio: float | None,
) -> list[str]:
    """A report: a heading, a line for each contestant, and the ratios of ours to theirs if both ran."""
    lines = [f"{'':18}{'time, median':>14}{'fastest':>10}{'peak memory':>14}"]
    for name, rounds in seconds.items():
        memory = f"{peak_bytes[name] / 1e9:.2f} GB"
        lines.append(f"{name:18}{statistics.median(rounds):12.2f} s{min(rounds):8.2f} s{memory:>14}")
    if time_ratio is not None:
        lines.append(f"{'ratio':18}{time_ratio:14.3f}{'':10}{memory_ratio:14.3f}")
    return lines
