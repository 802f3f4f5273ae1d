"""A separate process that compiles kernels, because a process that interprets them cannot.

    request, a line of JSON   {"operation", "dtype", "head_dim", "launch", "archs", "listing", "only"}
    reply, a line of JSON     {"kernels": [...]} or {"error": "one line"}

Run as `python -m minisam_kernels.lab.worker`, with requests on standard input and one reply to each on standard
output. inspection.py starts it.
"""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict

import torch

from minisam_kernels import launch as launch_checks

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


def answer(request: dict) -> dict:
    """The kernels that a call of the operation launches, forward and backward, compiled for every arch."""
    from minisam_kernels.lab.catalog import call_in_sam, default_launch, function_of, module_of
    from minisam_kernels.lab.launches import launches_of, take_shapes_for_real
    from minisam_kernels.lab.machine_code import compile_for

    operation, name = request["operation"], request["launch"]
    for module in [m for key, m in sys.modules.items() if key.startswith("minisam_kernels.")]:
        take_shapes_for_real(module)
    take_shapes_for_real(module_of(operation))
    dtype, kernels = DTYPES[request["dtype"]], []
    for arch in request["archs"]:
        chosen = name or default_launch(operation, dtype, generation(arch))
        tensors, constants = call_in_sam(operation, dtype, request["head_dim"], launch=chosen)
        for launch in launches_of(function_of(operation), tensors, **constants, launch=chosen):
            if request.get("only") not in (None, launch.name):
                continue
            code = compile_for(
                arch, launch.function, launch.signature, launch.constants, launch.divisible, **launch.options
            )
            kernels.append(
                {
                    "kernel": launch.name,
                    "grid": launch.grid,
                    "constants": launch.constants,
                    "num_stages": launch.options["num_stages"],
                    "code": asdict(code) if request.get("listing") else {**asdict(code), "listing": ""},
                }
            )
    return {"kernels": kernels}


def generation(arch: str) -> int:
    """8 for sm_80 and sm_89, 9 for sm_90; AMD's GPUs are launched like Ampere's."""
    return int(arch.removeprefix("sm_")) // 10 if arch.startswith("sm_") else 8


def main() -> None:
    # The tensors are shapes without a device, which the wrappers would refuse: skip that check.
    launch_checks.check_tensors = lambda operation, **tensors: None
    for line in sys.stdin:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                reply = answer(json.loads(line))
        except Exception as error:
            text = str(error).strip().splitlines() or [""]
            reply = {"error": f"{type(error).__name__}: {text[-1]}"}
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
