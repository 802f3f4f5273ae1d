"""`minisam kernel bench`: every kernel and the whole encoder compared with every peer, in one run on one GPU.

The most important parts run first: kernels and peers that need no compilation, then layers and encoders compared with
transformers', then contestants that have to be compiled.  The record is written after every part, and no new part
starts after the time limit. An interrupted run therefore leaves a smaller record.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

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
from minisam_kernels.lab.results import OURS, EncoderResult, Results, path_for

WRONG = 4


def bench(out: Path | None, quick: bool, minutes: float, as_json: bool) -> int:
    """Measure, write the record and a figure beside it, and print a report; 4 if one of our results was wrong."""
    device = torch.cuda.get_device_name()
    found = versions("triton", "transformers") | {"cuda": str(torch.version.cuda)}
    results = Results(device, found, commit(), datetime.now(timezone.utc).isoformat(timespec="seconds"))
    path = out or path_for(device)
    try:
        run(results, lambda: results.save(path), quick, Deadline(minutes))
    finally:  # write the results so far, even if the GPU failed
        print(results.to_json() if as_json else "\n".join(report(results)))
        if any(item.ratios for item in results.kernels):
            write_atomically(path.with_suffix(".png"), lambda file: save_bench_figure(file, results))
        print(path, file=sys.stderr)
    return WRONG if any(OURS in item.failed for item in (*results.kernels, *results.encoder)) else 0


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
