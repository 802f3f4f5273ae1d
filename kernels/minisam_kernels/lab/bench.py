"""Our kernels and all peers in one run on one GPU: median times, ratios, and whether the results are correct.

    for each kernel and shape   inputs in the encoder's layout; a float64 reference of the last image's last head
      for each contestant       time it (triton.testing.do_bench, the median), then run it again and compare the
                                result with the reference

If a contestant fails, its error is recorded and the others continue.  No new measurement starts after the time limit.
Times are of the operation alone, with cold caches; forward runs without gradients, backward is the part that autograd
runs after it.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from minisam_kernels import dense
from minisam_kernels.lab.answers.words import one_line
from minisam_kernels.lab.catalog import call_in_sam, function_of
from minisam_kernels.lab.error_rule import FACTOR, GRADIENT_FACTOR, compare
from minisam_kernels.lab.gpus import gpu_of_device
from minisam_kernels.lab.peers import COMPILED, FORWARD_ONLY, NO_BIAS, Function, peers
from minisam_kernels.lab.results import OURS, KernelResult, Results
from minisam_kernels.lab.roofline import floor_on
from minisam_kernels.lab.work_in_sam import MODELS, directions_of, dtype_of, work_of
from minisam_kernels.mask_cases import COUNTING, mask_inputs

DTYPE, DTYPE_NAME = torch.bfloat16, "bf16"
DIRECTIONS = ("forward", "backward")
# The most important ones first, because the time may run out.
PLAN = (
    *((kernel, "vit_b", batch) for batch in (8, 1) for kernel in ("rel_pos_attention", "window_attention")),
    *(
        (kernel, "vit_b", 8)
        for kernel in ("token_to_image", "image_to_token", "cross_attention", "attention", "softmax")
    ),
    *((kernel, "vit_b", 1) for kernel in COUNTING),
    *(
        (kernel, model, batch)
        for model in ("vit_h", "vit_l")
        for batch in (8, 1)
        for kernel in ("rel_pos_attention", "window_attention")
    ),
)
QUICK_PLAN = PLAN[:2]
Timer = Callable[[Callable[[], object]], float]


class Deadline:
    """The time after which no new measurement starts."""

    def __init__(self, minutes: float) -> None:
        self.at = time.monotonic() + 60 * minutes

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self.at


def median_milliseconds(call: Callable[[], object]) -> float:
    from triton.testing import do_bench

    return float(do_bench(call, return_mode="median"))  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class Call:
    """An operation's arguments, the gradient of its output, and the float64 results for a part of them."""

    operation: str
    inputs: dict[str, Tensor]
    constants: dict[str, float | int]
    grad_out: Tensor
    reference: dict[str, Tensor]
    same_precision: dict[str, Tensor]

    def run(self, function: Function, direction: str) -> dict[str, Tensor]:
        """The checked part of the output, or of every gradient."""
        out = function(**self.inputs, **self.constants)
        if direction == "forward":
            return {"output": part(self.operation, out.detach())}
        grads = torch.autograd.grad(out, list(self.inputs.values()), self.grad_out, allow_unused=True)
        found = zip(self.inputs, grads, strict=True)
        return {name: part(self.operation, grad) for name, grad in found if grad is not None}


def part(operation: str, tensor: Tensor) -> Tensor:
    """The part that is compared: one head of the last image, or everything if gradients are sums over the images."""
    if operation in ("window_attention", "token_to_image", "image_to_token", *COUNTING):
        return tensor
    return tensor[-1:] if operation == "softmax" else tensor[-1:, -1:]


def make_call(
    operation: str, shapes: Mapping[str, Tensor], constants: dict, device: str, dtype: torch.dtype
) -> Call:
    """Random inputs in the layout of the shapes, and the correct results for the part that is compared."""
    if operation in COUNTING:
        return make_counting_call(operation, shapes, constants, device, dtype)
    generator = torch.Generator(device).manual_seed(0)

    def draw(shape: torch.Size, stride: tuple[int, ...]) -> Tensor:
        return torch.empty_strided(shape, stride, dtype=dtype, device=device).normal_(generator=generator)

    inputs = {name: draw(x.shape, x.stride()).requires_grad_() for name, x in shapes.items()}
    out_shape = dense.OPERATIONS[operation](**shapes, **constants)
    grad_out = draw(out_shape.shape, out_shape.contiguous().stride())
    results = []
    for precision in (torch.float64, dtype):
        leaves = {
            name: part(operation, x.detach()).to(precision).requires_grad_() for name, x in inputs.items()
        }
        out = dense.OPERATIONS[operation](**leaves, **constants)
        grads = torch.autograd.grad(out, list(leaves.values()), part(operation, grad_out).to(precision))
        results.append({"output": out.detach(), **dict(zip(leaves, grads, strict=True))})
    return Call(operation, inputs, constants, grad_out, *results)


def make_counting_call(
    operation: str, shapes: Mapping[str, Tensor], constants: dict, device: str, dtype: torch.dtype
) -> Call:
    """Masks with an outline (noise is outline everywhere); the reference is the dense formula in the same type."""
    size = (*shapes["low_res"].shape, len(shapes["row_first"]), len(shapes["column_first"]))
    arrays = mask_inputs(size, np.random.default_rng(0))
    inputs = {
        name: torch.tensor(array, dtype=dtype if array.dtype.kind == "f" else None, device=device)
        for name, array in arrays.items()
    }
    right = {"output": dense.OPERATIONS[operation](**inputs, **constants)}
    return Call(operation, inputs, constants, right["output"], right, right)


def relative_error(found: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> float:
    """The largest of ‖Δ‖/‖ref‖ over the tensors."""
    errors = [
        (found[name].double() - reference[name]).norm() / reference[name].double().norm() for name in found
    ]
    return float(torch.stack(errors).max())


def wrong(call: Call, found: Mapping[str, Tensor], direction: str) -> str:
    """The errors that the error rule finds in our results; "" if there are none."""
    if call.operation in COUNTING:
        differ = int((found["output"] != call.reference["output"]).sum())
        return f"output: {differ} numbers differ" if differ else ""
    factor = FACTOR if direction == "forward" else GRADIENT_FACTOR
    magnitude = max(float(call.reference[name].abs().max()) for name in found)
    for name, tensor in found.items():
        reference = call.reference[name].cpu().numpy()
        verdict = compare(name, tensor, reference, call.same_precision[name], factor, magnitude)
        if not verdict.ok:
            return verdict.explain()
    return ""


def time_direction(call: Call, function: Function, direction: str, timer: Timer) -> float:
    """Median milliseconds of the forward, or of autograd's backward after it."""
    if direction == "forward":
        with torch.no_grad():
            return timer(lambda: function(**call.inputs, **call.constants))
    out, leaves = function(**call.inputs, **call.constants), list(call.inputs.values())
    return timer(
        lambda: torch.autograd.grad(out, leaves, call.grad_out, retain_graph=True, allow_unused=True)
    )


def measure(
    call: Call,
    name: str,
    function: Function,
    result: KernelResult,
    timer: Timer,
    checked: Collection[str] = (OURS,),
) -> None:
    """Time one contestant in one direction, then compare its output; add both to the result.

    A contestant of a name in `checked` has no time if its output is wrong.
    """
    if FORWARD_ONLY in name and result.direction == "backward":
        return
    try:
        milliseconds = time_direction(call, function, result.direction, timer)
        if NO_BIAS not in name:
            found = call.run(function, result.direction)
            result.relative_error[name] = relative_error(found, call.reference)
            if name in checked and (complaint := wrong(call, found, result.direction)):
                raise ArithmeticError(complaint)
        result.milliseconds[name] = milliseconds
    except Exception as error:
        result.failed[name] = one_line(error)
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def measure_kernels(
    results: Results,
    plan: Sequence[tuple[str, str, int]],
    compiled: bool,
    deadline: Deadline,
    save: Callable[[], None],
    device: str = "cuda",
    timer: Timer = median_milliseconds,
    users: Mapping[str, Function] | None = None,
) -> None:
    """Every shape of the plan, with only the compiled peers or without them; saves after each direction.

    `users` are a user's functions for the operation of the plan; they come first.
    """
    users = users or {}
    gpu = gpu_of_device(results.device)
    for operation, model, batch in plan:
        contestants = (
            peers(operation) if compiled else {**users, OURS: function_of(operation), **peers(operation)}
        )
        contestants = {name: f for name, f in contestants.items() if (COMPILED in name) == compiled}
        if not contestants or deadline.passed:
            continue
        heads, head_dim = MODELS[model]
        head_dim = 16 if operation == "cross_attention" else head_dim
        dtype = torch.float32 if operation in COUNTING else DTYPE
        shapes, constants = call_in_sam(operation, dtype, head_dim, batch, heads)
        if compiled:  # torch compiles a function only for a limited number of shapes
            torch.compiler.reset()
        call = make_call(operation, shapes, constants, device, dtype)
        for direction in directions_of(operation):
            result = result_for(results, operation, model, batch, direction)
            if gpu is not None:
                work = work_of(operation, model, batch, dtype_of(operation), direction == "backward")
                result.floor_milliseconds = floor_on(gpu, work).floor * 1e3
            for name, function in contestants.items():
                if not deadline.passed:
                    measure(call, name, function, result, timer, (OURS, *users))
            save()


def result_for(results: Results, kernel: str, model: str, batch: int, direction: str) -> KernelResult:
    """The entry for this shape and direction, created if it does not exist."""
    for item in results.kernels:
        if (item.kernel, item.model, item.batch, item.direction) == (kernel, model, batch, direction):
            return item
    results.kernels.append(KernelResult(kernel, model, batch, dtype_of(kernel), direction))
    return results.kernels[-1]
