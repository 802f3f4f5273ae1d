"""The automatic mask generator on a GPU, side by side with segment-anything's on the same GPU.

Same weights, thresholds and photo as in amg.py.  Each generator first runs a few times unmeasured, because kernels
are compiled at their first call; then the two take turns.  Separate runs record the profiler's events, count how
often the CPU waits, and collect the masks.

Both run in torch's default precision, in which cuDNN's convolutions round their inputs to TF32.  Masks are compared
without this rounding: the two then differ only by the order of their sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from minisam.backend import use_backend
from minisam.bench.amg import Setting, build_generator, choose_thresholds, square_photo
from minisam.bench.amg_on_device_report import DeviceAmgReport, Timeline
from minisam.bench.amg_phases import busy_in_phases, time_phases
from minisam.bench.compare_records import compare_records
from minisam.bench.device_meter import DeviceMeter
from minisam.bench.measure import ORIGINAL, OURS, commit, take_turns, versions
from minisam.bench.original import import_original
from minisam.masks.rle import decode_rle
from minisam.threads import cpu_threads

WARM_UP_RUNS = 2


@dataclass(frozen=True)
class Contestant:
    """A network and a call that finds the masks of the photo with it, its memory already measured."""

    network: Any
    run: Callable[[], list[dict[str, Any]]]
    peak_bytes: int


def measure_amg_on_device(
    setting: Setting, backend: str, repeats: int, compare: bool, meter: DeviceMeter
) -> DeviceAmgReport:
    """Measure our generator under a backend on the meter's device, and the original's too if `compare`.

    Raises MinisamError if the backend cannot run, OriginalMissingError if the original is not installed.
    """
    with use_backend(backend):
        pass
    if compare:
        import_original()
    names = [ORIGINAL, OURS] if compare else [OURS]
    with cpu_threads(setting.threads):
        with use_backend("torch"):
            setting = choose_thresholds(setting, meter.device)
        contestants = {name: warmed_up(name, setting, backend, meter) for name in names}
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in names}

        def take_turn(name: str, one: Contestant) -> None:
            rounds[name].append(time_phases(one.network, one.run, meter))

        turns = {name: partial(take_turn, name, one) for name, one in contestants.items()}
        seconds = take_turns(turns, repeats)
        timelines = {
            name: Timeline(
                seconds=seconds[name],
                milliseconds=rounds[name],
                busy_milliseconds=busy_in_phases(one.network, one.run, meter),
                peak_bytes=one.peak_bytes,
                waits=meter.waits(one.run),
            )
            for name, one in contestants.items()
        }
        records = {name: exact_records(one) for name, one in contestants.items()}
    return DeviceAmgReport(
        setting=setting,
        device=meter.name,
        backend=backend,
        versions=versions("minisam", "triton", "segment-anything-py", "torchvision")
        | {"cuda": str(torch.version.cuda)},
        commit=commit(),
        timelines=timelines,
        records=len(records[OURS]),
        comparison=compare_records(records[OURS], records[ORIGINAL]) if compare else None,
    )


def warmed_up(name: str, setting: Setting, backend: str, meter: DeviceMeter) -> Contestant:
    """A contestant that has run; its memory is that of its weights and of these runs."""
    made: list[tuple[Any, Callable[[], list[dict[str, Any]]]]] = []

    def build_and_run() -> None:
        generator = build_generator(name, setting, meter.device, "uncompressed_rle")
        photo = square_photo(setting.image_size)

        def run() -> list[dict[str, Any]]:
            with use_backend(backend):
                return generator.generate(photo)

        made.append((generator.predictor.model, run))
        for _ in range(WARM_UP_RUNS):
            run()

    peak = meter.peak_bytes(build_and_run)
    return Contestant(*made[0], peak)


def exact_records(contestant: Contestant) -> list[dict[str, Any]]:
    """Its records, with masks in place of their run lengths, without TF32."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        records = contestant.run()
    return [record | {"segmentation": decode_rle(record["segmentation"])} for record in records]
