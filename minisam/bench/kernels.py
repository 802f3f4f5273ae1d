"""`minisam kernel bench`: every kernel and the whole encoder compared with every peer, in one run on one GPU.

The most important parts run first: kernels and peers that need no compilation, then layers and encoders compared with
transformers', then contestants that have to be compiled.  The record is written after every part, and no new part
starts after the time limit. An interrupted run therefore leaves a smaller record.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from minisam.bench.kernel_encoder import Encoders, measure_encoder
from minisam.bench.kernel_layers import measure_layers
from minisam.bench.measure import commit, versions
from minisam.config import CONFIGS
from minisam.files import write_atomically
from minisam_kernels.lab.bench import (
    DTYPE,
    DTYPE_NAME,
    PLAN,
    QUICK_PLAN,
    Deadline,
    measure_kernels,
    median_milliseconds,
)
from minisam_kernels.lab.bench_report import report, save_bench_figure
from minisam_kernels.lab.peers import Function
from minisam_kernels.lab.results import OURS, EncoderResult, Results, path_for

WRONG = 4


def new_results(device: str) -> Results:
    found = versions("triton", "transformers") | {"cuda": str(torch.version.cuda)}
    return Results(device, found, commit(), datetime.now(timezone.utc).isoformat(timespec="seconds"))


def bench(out: Path | None, quick: bool, minutes: float, as_json: bool) -> int:
    """Measure, write the record and a figure beside it, and print a report; 4 if one of our results was wrong."""
    results = new_results(torch.cuda.get_device_name())
    path = out or path_for(results.device)
    try:
        run(results, lambda: results.save(path), quick, Deadline(minutes))
    finally:  # write the results so far, even if the GPU failed
        print(results.to_json() if as_json else "\n".join(report(results)))
        if any(item.ratios for item in results.kernels):
            write_atomically(path.with_suffix(".png"), lambda file: save_bench_figure(file, results))
        print(path, file=sys.stderr)
    return WRONG if any(OURS in item.failed for item in (*results.kernels, *results.encoder)) else 0


def device_name(how: Mapping[str, Any]) -> str:
    """The name of the GPU, or of the other device that measure_kernels is given."""
    return str(how["device"]) if "device" in how else torch.cuda.get_device_name()


def bench_one(
    operation: str,
    function: Function | None,
    name: str,
    out: Path | None,
    minutes: float,
    as_json: bool,
    **how: Any,
) -> int:
    """One operation at ViT-B's shapes: a user's function if there is one, ours and its peers.

    Writes a file only where `out` is given; 4 if ours or the user's was wrong.
    """
    results, users = new_results(device_name(how)), {name: function} if function else {}
    plan = [item for item in PLAN if item[:2] == (operation, "vit_b")]

    def save() -> None:
        if out is not None:
            results.save(out)

    for compiled in (False, True):
        measure_kernels(results, plan, compiled, Deadline(minutes), save, users=users, **how)
    print(results.to_json() if as_json else "\n".join(report(results)))
    return WRONG if any({OURS, *users} & item.failed.keys() for item in results.kernels) else 0


def fractions_of_floor(
    operation: str, function: Function, name: str, model: str, batch: int, **how: Any
) -> list[str]:
    """A line for each direction: the time of a user's function, and the floor's share of it."""
    results = new_results(device_name(how))
    measure_kernels(
        results, [(operation, model, batch)], False, Deadline(5), lambda: None, users={name: function}, **how
    )
    lines = []
    for item in results.kernels:
        milliseconds, floor = item.milliseconds.get(name), item.floor_milliseconds
        if milliseconds is None:
            lines.append(f"{name} {item.direction}: {item.failed.get(name, 'not measured')}")
        else:
            share = f", {floor / milliseconds:.0%} of which is the floor" if floor else ""
            lines.append(f"{name} {item.direction}: {milliseconds * 1e3:.1f} µs on {results.device}{share}")
    return lines


def run(results: Results, save: Callable[[], None], quick: bool, deadline: Deadline) -> None:
    """Fill the results, the most important ones first."""
    plan, models = (QUICK_PLAN, ("vit_b",)) if quick else (PLAN, ("vit_b", "vit_h", "vit_l"))
    timer = median_milliseconds
    measure_kernels(results, plan, False, deadline, save, timer=timer)
    for model in models:
        for batch in (8,) if quick else (8, 1):
            if deadline.passed:
                return
            encoders = Encoders(CONFIGS[model], "cuda", DTYPE)
            result = EncoderResult(model, batch, DTYPE_NAME)
            results.encoder.append(result)
            measure_encoder(encoders, result, False, deadline, timer)
            if model == "vit_b":
                measure_layers(encoders, results, model, batch, timer)
            save()
            del encoders
    if quick:
        return
    measure_kernels(results, plan, True, deadline, save, timer=timer)
    for result in [item for item in results.encoder if item.batch == 8]:
        if not deadline.passed:
            measure_encoder(Encoders(CONFIGS[result.model], "cuda", DTYPE), result, True, deadline, timer)
            save()
