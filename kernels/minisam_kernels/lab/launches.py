"""The launches of a call: every kernel with the types, constants and options with which Triton would compile it.

A call is made with tensors that have shapes but no memory.  The kernels' operations treat them as real tensors, and
their launches are recorded instead of run.  The list of kernels to compile therefore always agrees with the wrappers.
This changes the whole process permanently, and runs in a separate one: worker.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from triton.runtime.jit import JITFunction

TYPES = {
    torch.float16: "fp16",
    torch.bfloat16: "bf16",
    torch.float32: "fp32",
    torch.float64: "fp64",
    torch.int32: "i32",
    torch.int64: "i64",
    torch.int8: "i8",
    torch.uint8: "u8",
    torch.bool: "i1",
}
OPTIONS = {"num_warps": 4, "num_stages": 3}


@dataclass(frozen=True)
class RecordedLaunch:
    """One launch: the jit function, its arguments' types and constants, its options and its number of programs.

    `numbers` are the arguments that are integers; `backward` launches compute gradients.
    """

    function: Any
    grid: tuple[int, ...]
    signature: dict[str, str]
    constants: dict[str, object]
    divisible: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict, compare=False)
    backward: bool = field(default=False, compare=False)

    @property
    def name(self) -> str:
        return self.function.__name__.strip("_")


@contextmanager
def recorded_launches() -> Iterator[list[RecordedLaunch]]:
    """Within this context, `kernel[grid](...)` runs nothing and adds to the list."""
    found: list[RecordedLaunch] = []

    def record(self: Any, *args: object, grid: Any, warmup: bool, **kwargs: object) -> None:
        del warmup
        found.append(describe_launch(self, grid, args, kwargs))

    real = JITFunction.run
    JITFunction.run = record
    try:
        yield found
    finally:
        JITFunction.run = real


def describe_launch(function: Any, grid: Any, args: tuple, kwargs: dict[str, Any]) -> RecordedLaunch:
    """The result of Triton's specialisation: an integer 1 and None are constants, multiples of 16 are marked."""
    options = {name: value for name, value in kwargs.items() if name not in function.arg_names}
    values = dict(zip(function.arg_names, args, strict=False))
    values |= {name: value for name, value in kwargs.items() if name in function.arg_names}
    signature, constants, divisible = {}, {}, []
    for parameter in function.params:
        value = values.get(parameter.name, parameter.default)
        integer = isinstance(value, int) and not isinstance(value, bool)
        if (
            parameter.is_constexpr
            or value is None
            or (integer and value == 1 and not parameter.do_not_specialize)
        ):
            signature[parameter.name] = "constexpr"
            constants[parameter.name] = value
            continue
        signature[parameter.name] = type_name(value)
        if is_multiple_of_16(value) and not parameter.do_not_specialize:
            divisible.append(parameter.name)
    shape: Any = grid(values) if callable(grid) else grid
    numbers = {
        name: value
        for name, value in values.items()
        if isinstance(value, int) and not isinstance(value, bool)
    }
    return RecordedLaunch(
        function, tuple(shape), signature, constants, tuple(divisible), {**OPTIONS, **options}, numbers
    )


def type_name(value: object) -> str:
    if isinstance(value, Tensor):
        return f"*{TYPES[value.dtype]}"
    if isinstance(value, bool):
        return "i1"
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64"
    if isinstance(value, float):
        return "fp32"
    raise TypeError(f"a kernel takes tensors and numbers, got {type(value).__name__}")


def is_multiple_of_16(value: object) -> bool:
    """Whether an integer, or a tensor's address, is a multiple of 16; every storage starts at such an address."""
    if isinstance(value, Tensor):
        return value.storage_offset() * value.element_size() % 16 == 0
    return isinstance(value, int) and not isinstance(value, bool) and value % 16 == 0


def take_shapes_for_real(module: ModuleType) -> None:
    """Make every custom op in a kernel's file run its code for tensors without memory."""
    operator = type(torch.library.custom_op("minisam_lab::nothing", _nothing, mutates_args=()))
    for op in vars(module).values():
        if isinstance(op, operator):
            op.register_fake(op._init_fn)


def _nothing(x: Tensor) -> Tensor:
    return x.clone()


def launches_of(
    call: Callable[..., Tensor], inputs: dict[str, Tensor], **constants: Any
) -> list[RecordedLaunch]:
    """The launches of a call and of its backward, if it has one; only the shapes of `inputs` are used."""
    with FakeTensorMode(), recorded_launches() as found:
        shapes = {
            name: torch.empty_strided(
                x.shape, x.stride(), dtype=x.dtype, requires_grad=x.dtype.is_floating_point
            )
            for name, x in inputs.items()
        }
        out = call(**shapes, **constants)
        forward = len(found)
        if out.requires_grad:
            torch.autograd.grad(out, list(shapes.values()), torch.empty_like(out), allow_unused=True)
    found[forward:] = [replace(launch, backward=True) for launch in found[forward:]]
    return [launch for place, launch in enumerate(found) if launch not in found[:place]]


def launches_of_user(
    call: Callable[..., Any], inputs: Sequence[Tensor], numbers: Sequence[Any]
) -> list[RecordedLaunch]:
    """The same for a user's function, whose outputs are never written; inputs with values keep them."""
    with ExitStack() as stack:
        if any(x.is_meta for x in inputs):
            stack.enter_context(FakeTensorMode())
            inputs = [torch.empty_strided(x.shape, x.stride(), dtype=x.dtype) for x in inputs]
        found = stack.enter_context(recorded_launches())
        leaves = [x.requires_grad_() for x in inputs if x.dtype.is_floating_point]
        out = call(*inputs, *numbers)
        if isinstance(out, Tensor) and out.requires_grad:
            torch.autograd.grad(out, leaves, torch.empty_like(out), allow_unused=True)
    return [launch for place, launch in enumerate(found) if launch not in found[:place]]
