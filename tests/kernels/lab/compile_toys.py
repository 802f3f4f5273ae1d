"""Compiles tests/toy_kernels.py for the tests of the lab: run in a process that does not interpret; prints JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[2]))

import toy_kernels

from minisam_kernels.lab.launches import RecordedLaunch, recorded_launches
from minisam_kernels.lab.machine_code import compile_for


def recorded(call, *tensors, **options) -> RecordedLaunch:
    with recorded_launches() as launches:
        call(*tensors, **options)
    (launch,) = launches
    return launch


def compiled(arch: str, launch: RecordedLaunch) -> dict:
    code = compile_for(
        arch, launch.function, launch.signature, launch.constants, launch.divisible, **launch.options
    )
    return asdict(code)


def main() -> None:
    half, single = torch.empty((64, 64), dtype=torch.float16), torch.empty((64, 64))
    aligned = recorded(toy_kernels.double, torch.empty(4096), block=1024)
    odd = recorded(toy_kernels.double, torch.empty(4097)[1:], block=1024)
    product = recorded(toy_kernels.product, half, half)
    spilling = recorded(toy_kernels.product, single, single, block_k=64)
    one = recorded(toy_kernels.double, torch.empty(1))
    result = {
        "launches": {
            name: {"signature": launch.signature, "divisible": launch.divisible, "grid": launch.grid}
            | {"constants": launch.constants, "options": launch.options, "name": launch.name}
            for name, launch in {"aligned": aligned, "odd": odd, "product": product, "one": one}.items()
        },
        "aligned": compiled("sm_80", aligned),
        "odd": compiled("sm_80", odd),
        "spilling": compiled("sm_80", spilling),
        "product": {arch: compiled(arch, product) for arch in ("sm_80", "sm_90", "sm_100", "gfx942")},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
