"""A separate process that compiles kernels, because a process that interprets them cannot.

    request, a line of JSON   an inspection.Request
    reply, a line of JSON     {"kernels": [...]} or {"error": "one line", "unseen": whether nothing was compiled}

Run as `python -m minisam_kernels.lab.worker [GB]`, with requests on standard input and one reply to each on standard
output, by at most that much more memory than it starts with. Prints of a user's code go to standard error.
inspection.py starts it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from minisam_kernels import launch as launch_checks
from minisam_kernels.lab.answers.words import one_line, stops_with
from minisam_kernels.lab.answers.worker import limit_memory, private_channels
from minisam_kernels.tuned_launches import trying

if TYPE_CHECKING:
    from minisam_kernels.lab.launches import RecordedLaunch

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


class UnseenError(Exception):
    """The user's function, or its file, stops before it launches what should be compiled."""


def answer(request: dict) -> dict:
    """The kernels that a call launches, forward and backward, compiled for every arch."""
    from minisam_kernels.lab.machine_code import compile_for

    kernels = []
    for arch in request["archs"]:
        launches = users_launches(request) if request.get("place") else our_launches(request, arch)
        for launch in launches:
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
                    "numbers": launch.numbers,
                    "backward": launch.backward,
                    "num_stages": launch.options["num_stages"],
                    "code": asdict(code) if request.get("listing") else {**asdict(code), "listing": ""},
                }
            )
    return {"kernels": kernels}


def our_launches(request: dict, arch: str) -> list[RecordedLaunch]:
    """Those of the operation, as SAM calls it."""
    from minisam_kernels.lab.catalog import call_in_sam, default_launch, function_of, module_of
    from minisam_kernels.lab.launches import launches_of, take_shapes_for_real

    operation, dtype = request["operation"], DTYPES[request["dtype"]]
    for module in [m for key, m in sys.modules.items() if key.startswith("minisam_kernels.")]:
        take_shapes_for_real(module)
    take_shapes_for_real(module_of(operation))
    chosen = request["launch"] or default_launch(operation, dtype, generation(arch))
    sizes = {key: request[key] for key in ("batch", "heads") if request.get(key)}
    tensors, constants = call_in_sam(operation, dtype, request["head_dim"], **sizes, launch=chosen)
    with ExitStack() as stack:
        if trial := request.get("trial"):
            stack.enter_context(trying(trial[0], launch_checks.Launch(*trial[1:])))
        return launches_of(function_of(operation), tensors, **constants, launch=chosen)


def users_launches(request: dict) -> list[RecordedLaunch]:
    """Those of the user's function, as SAM or a case calls it. Raises UnseenError."""
    from minisam_kernels.cases import cases
    from minisam_kernels.lab.catalog import call_in_sam
    from minisam_kernels.lab.launches import launches_of_user

    operation, dtype = request["operation"], DTYPES[request["dtype"]]
    if request.get("case") is None:
        tensors, constants = call_in_sam(operation, dtype, request["head_dim"])
    else:
        case = next(case for case in cases(operation) if case.name == request["case"])
        tensors, constants = case.tensors(dtype), case.constants
    function = users_function(request["place"])
    try:
        return launches_of_user(function, list(tensors.values()), list(constants.values()))
    except (Exception, SystemExit) as error:
        raise UnseenError(f"{stops_with(error)}, before its kernels can be compiled") from error


@lru_cache
def users_function(place: str) -> Callable[..., Any]:
    """The function of "FILE.py:name". Raises UnseenError."""
    from minisam_kernels.lab.answers.source import read_source
    from minisam_kernels.lab.answers.worker import Answers
    from minisam_kernels.lab.users_file import CLOSED, parts_of

    file, name = parts_of(place)
    answers = Answers()
    request = {"load": file, "text": read_source(file), "functions": [name], "closed": CLOSED}
    roots = [f"{Path(__file__).parents[1]}/"]
    found = answers.load({**request, "opened": (), "roots": roots, "unread": ()})
    if "functions" not in found or found["functions"][name]:
        reason = found.get("error") or found.get("borrowed") or f"has no function {name}"
        raise UnseenError(f"{file} {reason}")
    return getattr(answers.module, name)


def generation(arch: str) -> int:
    """8 for sm_80 and sm_89, 9 for sm_90; AMD's GPUs are launched like Ampere's."""
    return int(arch.removeprefix("sm_")) // 10 if arch.startswith("sm_") else 8


def main() -> None:
    # The tensors are shapes without a device, which the wrappers would refuse: skip that check.
    launch_checks.check_tensors = lambda operation, **tensors: None
    requests, replies = private_channels()
    limit_memory(float(sys.argv[1]) * 2**30 if len(sys.argv) > 1 else None)
    for line in requests:
        try:
            reply = answer(json.loads(line))
        except BaseException as error:  # a user's code may raise SystemExit
            reply = {"error": reason(error), "unseen": isinstance(error, UnseenError)}
        replies.write(json.dumps(reply, default=str).encode() + b"\n")
        replies.flush()


def reason(error: BaseException) -> str:
    """One line; of a chain of errors, the first cause, which is the compiler's message."""
    if isinstance(error, UnseenError):
        return str(error)
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(error)


if __name__ == "__main__":
    main()
