"""The phases of a mask generator's run, detected by hooks on its network, the same for ours and the original's.

    preparing            until the image encoder starts: the image is scaled and copied to the device
    image encoder        until it ends
    prompts and decoder  from there, and from each later encoding of prompts, until the mask decoder ends
    post-processing      everything else: masks are upscaled, filtered and encoded, and duplicates are removed

Every moment of a run belongs to one phase.  A listener is called with the name of each new phase: a meter sets a
mark, the profiler opens a named range.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import torch

from minisam.bench.device_meter import Activity, DeviceMeter, Run

PHASES: tuple[str, ...] = (
    "preparing",
    "image encoder",
    "prompts and decoder",
    "post-processing",
)
PREPARING, ENCODER, DECODER, POST_PROCESSING = PHASES
END = "end"
RANGE = "amg: "
Listener = Callable[[str], None]


@contextmanager
def listening(network: Any, enter: Listener) -> Iterator[None]:
    """Within this block, `enter` is called with each phase of a run of `network`; last with END."""
    handles = [
        network.image_encoder.register_forward_pre_hook(lambda *_: enter(ENCODER)),
        network.image_encoder.register_forward_hook(lambda *_: enter(DECODER)),
        network.prompt_encoder.register_forward_pre_hook(lambda *_: enter(DECODER)),
        network.mask_decoder.register_forward_hook(lambda *_: enter(POST_PROCESSING)),
    ]
    enter(PREPARING)
    try:
        yield
    finally:
        enter(END)
        for handle in handles:
            handle.remove()


def time_phases(network: Any, run: Run, meter: DeviceMeter) -> dict[str, float]:
    """Milliseconds between marks, work and waiting alike, that a run spends in each phase."""
    marks: list[tuple[str, Any]] = []
    with listening(network, lambda phase: marks.append((phase, meter.mark()))):
        run()
    spent = dict.fromkeys(PHASES, 0.0)
    for (phase, start), (_, end) in pairwise(marks):
        spent[phase] += meter.milliseconds(start, end)
    return spent


def busy_in_phases(network: Any, run: Run, meter: DeviceMeter) -> dict[str, float] | None:
    """Milliseconds of work in each phase of a run, or None if the profiler has not recorded the phases."""

    def in_ranges() -> None:
        ranges = Ranges()
        with listening(network, ranges.enter):
            run()

    return work_in_ranges(meter.activities(in_ranges))


def work_in_ranges(activities: Sequence[Activity]) -> dict[str, float] | None:
    """Assigns work to the range that started last before it, because a queue is processed in order."""
    ranges = [one for one in activities if one.name.startswith(RANGE)]
    if not ranges:
        return None
    starts = [one.start for one in ranges]
    busy = dict.fromkeys(PHASES, 0.0)
    for one in activities:
        if not one.is_range and one not in ranges:
            place = max(0, bisect_right(starts, one.start) - 1)
            busy[ranges[place].name.removeprefix(RANGE)] += one.milliseconds
    return busy


class Ranges:
    """A listener that records each phase as a named range in the profiler."""

    def __init__(self) -> None:
        self.open: torch.profiler.record_function | None = None

    def enter(self, phase: str) -> None:
        if self.open is not None:
            self.open.__exit__(None, None, None)
        self.open = None if phase == END else torch.profiler.record_function(RANGE + phase)
        if self.open is not None:
            self.open.__enter__()
