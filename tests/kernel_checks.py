"""What a kernel has to be beside right on its cases; each check is a test of our kernels and finds mutants.

A check takes the operation and the module that defines it, and raises CheckError or AssertionError.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod
from types import ModuleType, SimpleNamespace
from unittest import mock

import far_programs
import numpy as np
import torch
from kernel_operations import Operation, assert_same_bits, run, tensors
from strategies import lay_out
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from triton.runtime import interpreter

from minisam_kernels.cases import Case, cases, expected, lowest_scores
from minisam_kernels.lab.check_case import check_case
from minisam_kernels.lab.inspection import Compiler, Request
from minisam_kernels.lab.memory_guard import Access, watched_interpreter
from minisam_kernels.mask_cases import COUNTING

SHORT_TAIL = 24  # a head dim of 16 and 8, where the tensor cores need 16 and 16
BY_TYPE = {torch.float32: "single", torch.float64: "single", torch.float16: "half", torch.bfloat16: "half"}
GENERATIONS = {(8, 0): "half", (8, 9): "half", (9, 0): "hopper", (10, 0): "hopper"}
Function = Callable[..., Tensor]


def function_in(operation: Operation, module: ModuleType) -> Function:
    return getattr(module, operation.name)


def check_values(operation: Operation, module: ModuleType) -> None:
    """Every case in float32, and every launch on few cases in float16, in an order that finds most faults soon."""
    function, telling = function_in(operation, module), operation.telling_cases()
    for case in telling:
        check_case(function, case, torch.float32)
    check_layout(operation, module)
    for case in cases(operation.name)[::-1]:
        check_case(function, case, torch.float32)
    for launch in module.LAUNCHES:
        for case in telling:
            check_case(partial(function, launch=launch), case, torch.float16)


def check_float64(operation: Operation, module: ModuleType) -> None:
    """Errors that float32's resolution or range of scores hides."""
    function = function_in(operation, module)
    check_case(function, operation.telling_cases()[0], torch.float64)
    if operation.differentiable and operation.name != "softmax":
        case = lowest_scores(operation.name)
        out = function(**case.tensors(torch.float64), **case.constants)
        assert abs(out.numpy() - expected(case)).max() < 1e-9, case.name


def check_layout(operation: Operation, module: ModuleType) -> None:
    """All inputs with permuted memory, and each of them alone."""
    function, case = function_in(operation, module), operation.case(operation.small)
    inputs = {name: x.detach() for name, x in tensors(case, torch.float32).items()}

    def outcome(permuted: tuple[str, ...]) -> tuple[Tensor, dict[str, Tensor]]:
        laid_out = {
            name: (lay_out(x, "permuted") if name in permuted else x.clone()).requires_grad_(not case.counts)
            for name, x in inputs.items()
        }
        return run(function, laid_out, case, grad_out if not permuted else lay_out(grad_out, "permuted"))

    shape = function(**inputs, **case.constants).shape
    grad_out = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    wanted = outcome(())
    for permuted in (tuple(inputs), *((name,) for name in inputs)):
        assert_same_bits(outcome(permuted), wanted)


def check_batches(operation: Operation, module: ModuleType) -> None:
    """The members of a batch have the bits that they have alone, also where sums are split into parts."""
    check_batch(function_in(operation, module), operation, operation.cases_for_batches(), torch.float32)


def check_batch(function: Function, operation: Operation, of_these: list[Case], dtype: torch.dtype) -> None:
    for case in of_these:
        batch = case.inputs[operation.batched[0]].shape[0]
        alone = tensors(case, dtype)
        twins = {name: -x.detach().flip(-1) if name in operation.batched else x for name, x in alone.items()}
        together = {
            name: torch.cat([twins[name].detach(), x.detach()]).requires_grad_(not case.counts)
            if name in operation.batched
            else x
            for name, x in alone.items()
        }
        out, grads = run(function, alone, case)
        grad_out = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).to(out)
        both, both_grads = run(function, together, case, torch.cat([grad_out, grad_out]))
        assert torch.equal(both[batch:], out)
        for name in set(operation.batched) & set(grads):
            assert torch.equal(both_grads[name][batch:], grads[name]), name


class RecordedCalls(TorchDispatchMode):
    """The calls of the kernels' own operators, those of backward too."""

    def __init__(self):
        super().__init__()
        self.calls = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.namespace.startswith("minisam"):
            self.calls[func] = args
        return func(*args, **(kwargs or {}))


def check_choice_of_launch(operation: Operation, module: ModuleType) -> None:
    """The launch is the one made for the type and the GPU's generation; backward has the same as forward."""
    for dtype, by_type in BY_TYPE.items():
        for capability, half in GENERATIONS.items():
            with mock.patch.object(torch.cuda, "get_device_capability", lambda device, c=capability: c):
                assert chosen(module, SimpleNamespace(dtype=dtype, is_cuda=True, device="cuda:0")) == (
                    half if by_type == "half" and hasattr(module, "launch_on") else by_type
                ), (dtype, capability)
    for dtype in (torch.float32, torch.float16):
        case = operation.case(operation.small)
        with RecordedCalls() as recorded:
            run(function_in(operation, module), tensors(case, dtype), case)
        launches = {x for arguments in recorded.calls.values() for x in arguments if isinstance(x, str)}
        assert len(launches) == 1 and launches.pop().endswith(BY_TYPE[dtype]), dtype


def chosen(module: ModuleType, tensor: SimpleNamespace) -> str:
    """The default launch for a tensor, in whichever way the operation chooses it."""
    if hasattr(module, "launch_on"):
        return module.launch_on(tensor)
    if "few, half" in module.LAUNCHES:
        return module.launch_for(7, tensor.dtype).removeprefix("few, ")
    return module.launch_for(tensor.dtype)


def check_sums(operation: Operation, module: ModuleType) -> None:
    """For float16 inputs, a kernel stores float16 results, and everything else as float32 or whole numbers."""
    case = operation.cases_for_batches()[-1]
    launched: list[Tensor] = []  # kept, so that no memory is used twice
    stored: list[Tensor] = []

    def note(access: Access) -> None:
        if access.kind == "store" and access.addresses.size:
            address = int(access.addresses.flat[0])
            stored.extend(x for x in launched if x.data_ptr() <= address < x.data_ptr() + x.nbytes)

    with watched_interpreter(launched.extend, note):
        out, grads = run(function_in(operation, module), tensors(case, torch.float16), case)
    results = {x.numel() for x in (out, *grads.values())}
    parts = {x.shape for x in stored if x.dtype == torch.float16 and x.numel() not in results}
    assert not parts


def check_programs(operation: Operation, module: ModuleType) -> None:
    """Every program of every launch stores something."""
    case = operation.case(operation.whole)
    launches: list[tuple[set, list[int]]] = []

    def note(access: Access) -> None:
        programs, grid = launches[-1]
        grid[:] = interpreter.interpreter_builder.grid_dim
        if access.kind == "store" and access.addresses.size:
            programs.add(access.program)

    with watched_interpreter(lambda tensors: launches.append((set(), [])), note):
        run(function_in(operation, module), tensors(case, torch.float32), case)
    for programs, grid in launches:
        assert len(programs) == prod(grid), f"{prod(grid) - len(programs)} of {grid} programs store nothing"


def check_machine_code(operation: str, worker: Compiler) -> None:
    """Compiled for Ampere: counts without a fused multiply-add, float32 without TF32, heads with a short tail."""
    head_dim = SHORT_TAIL if operation == "attention" else 64
    for item in worker.compile(Request(operation, "fp32", head_dim, None, ("sm_80",), listing=True)):
        assert not item.code.tensor_core, f"{item.kernel} multiplies float32 as {item.code.tensor_core}"
        if operation in COUNTING:
            assert "FADD" in item.code.listing and "FFMA" not in item.code.listing, item.kernel
    if operation not in COUNTING:
        assert worker.compile(Request(operation, "fp16", head_dim, None, ("sm_80",)))


def check_offsets(operation: Operation, module: ModuleType) -> None:
    """Offsets into tensors of more than 2³¹ numbers."""
    far_programs.CHECKS[operation.name](module)


def check_norm(operation: Operation, module: ModuleType) -> None:
    """image_to_token normalises a sum, and scales what is normal, before anything is rounded to 16 bits."""
    generator = np.random.default_rng(0)
    S, E = 9, 24
    image = np.repeat(50 + generator.standard_normal((1, 1, E)).round(1), S, axis=1)
    arrays = {
        "image": image,
        "image_pe": np.zeros((S, E)),
        "rows": np.zeros((1, 2, 2, E)),
        "offsets": np.zeros((1, 2, 2)),  # two equal weights are exact
        "values": 0.1 * generator.standard_normal((1, 2, 2, E)),
        "weight": np.full(E, 100.0),
        "bias": np.zeros(E),
    }
    exact = Case(operation.name, "norm", arrays, {"scale": 0.2, "eps": 1e-5}).rounded(torch.float16)
    bias = -expected(exact)[0, 0]  # every row is the same: nothing remains but roundings
    case = Case(operation.name, "norm", exact.inputs | {"bias": bias}, exact.constants).rounded(torch.float16)
    out = function_in(operation, module)(**case.tensors(torch.float16), **case.constants)
    assert abs(out.double().numpy() - expected(case)).max() < 2e-3


CHECKS: dict[str, Callable[[Operation, ModuleType], None]] = {
    "values": check_values,
    "float64": check_float64,
    "layouts": check_layout,
    "batches": check_batches,
    "launches": check_choice_of_launch,
    "sums": check_sums,
    "programs": check_programs,
    "offsets": check_offsets,
    "norm": check_norm,
}
