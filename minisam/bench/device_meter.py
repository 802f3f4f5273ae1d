"""Measurements of a run on a device: the time between marks, the memory, the waits, and the work.

A GPU has its own clock.  A mark is a CUDA event in its queue; the time between two marks includes both work and
waiting for the CPU.  To know which part was work, the profiler lists every kernel and every copy.  It also slows a
run down, and therefore has a separate run that is not timed.

Benchmarks get their meter as an argument; tests pass a stand-in and run on a CPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import torch
from torch._C._autograd import DeviceType

Run = Callable[[], object]
WAITS = "synchronizing CUDA operation"  # of torch's warning about each


class Activity(NamedTuple):
    """An event in a device's timeline: a kernel, a copy, or a named range.  Times in milliseconds."""

    name: str
    start: float
    milliseconds: float
    is_range: bool


class DeviceMeter(Protocol):
    """How a run is measured on one kind of device: `device` is torch's name for it, `name` the manufacturer's."""

    device: str
    name: str

    def mark(self) -> Any:
        """A mark in the device's queue, at this point of the program."""
        ...

    def milliseconds(self, start: Any, end: Any) -> float:
        """The time from one mark to another; waits until the device has reached it."""
        ...

    def peak_bytes(self, run: Run) -> int:
        """The peak memory of the device during a run, minus the memory in use before it."""
        ...

    def waits(self, run: Run) -> int:
        """How often the CPU waited for the device during a run."""
        ...

    def activities(self, run: Run) -> list[Activity]:
        """The events on the device during a run."""
        ...


class CudaMeter:
    """Measures on a CUDA device, "cuda" or "cuda:1" for example."""

    def __init__(self, device: str) -> None:
        self.device, self.name = device, torch.cuda.get_device_name(device)

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def milliseconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        end.synchronize()
        return start.elapsed_time(end)

    def peak_bytes(self, run: Run) -> int:
        before = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        run()
        return torch.cuda.max_memory_allocated(self.device) - before

    def waits(self, run: Run) -> int:
        before = torch.cuda.get_sync_debug_mode()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                run()
            finally:
                torch.cuda.set_sync_debug_mode(before)
        return sum(WAITS in str(warning.message) for warning in caught)

    def activities(self, run: Run) -> list[Activity]:
        kinds = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        with torch.profiler.profile(activities=kinds) as profile:
            run()
            torch.cuda.synchronize(self.device)
        return activities_on(DeviceType.CUDA, profile.events() or ())


def activities_on(kind: DeviceType, events: Iterable[Any]) -> list[Activity]:
    """The profiler's events on one kind of device, ordered by their start."""
    found = [
        Activity(
            event.name,
            event.time_range.start / 1e3,
            event.time_range.elapsed_us() / 1e3,
            bool(event.is_user_annotation),
        )
        for event in events
        if event.device_type == kind
    ]
    return sorted(found, key=lambda activity: activity.start)
