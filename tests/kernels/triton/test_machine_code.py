"""The code-generation gate: what the compiler makes of every kernel, on GPUs that need not be there.

A commit compiles each operation's default launch in bfloat16 at head dim 64 for Hopper, CI for Ampere too; the slow
part every launch in every type, and the defaults at head dim 80.
"""

from __future__ import annotations

import pytest
import torch
from kernel_checks import check_machine_code

from minisam_kernels.lab.catalog import OPERATIONS, launches_by_name
from minisam_kernels.lab.inspection import Compiled, Compiler, Request, compiler
from minisam_kernels.mask_cases import COUNTING

SHARED_LIMIT = {"sm_80": 163 * 1024, "sm_90": 227 * 1024}
TENSOR_CORE = {"sm_80": "mma.sync", "sm_90": "wgmma"}
SMALLEST_WGMMA_BLOCK = 64
DTYPES = ("bf16", "fp16", "fp32")
ARCHS = tuple(SHARED_LIMIT)
MULTIPLYING = [operation for operation in OPERATIONS if operation not in ("softmax", *COUNTING)]


@pytest.fixture(scope="module")
def worker():
    with compiler() as process:
        yield process


def compile_all(
    worker: Compiler,
    operation: str,
    dtype: str,
    head_dim: int,
    launch: str | None,
    archs: tuple[str, ...] = ARCHS,
) -> list[Compiled]:
    compiled = worker.compile(Request(operation, dtype, head_dim, launch, archs))
    assert {item.code.arch for item in compiled} == set(archs)
    return compiled


def what(item: Compiled) -> str:
    return f"{item.kernel}, {item.request.dtype}, {item.request.launch or 'default'}, {item.code.arch}"


def check_default(compiled: list[Compiled]) -> None:
    """A default launch does not spill, fits, and 16-bit types are multiplied by the tensor cores."""
    for item in compiled:
        code = item.code
        assert code.stack_bytes == 0, f"{what(item)} spills {code.stack_bytes} bytes a thread"
        assert code.shared_bytes <= SHARED_LIMIT[code.arch], what(item)
        assert code.programs_per_sm >= 1, what(item)
        if item.request.dtype == "fp32":
            assert not code.tensor_core, f"{what(item)} multiplies float32 as TF32"
    if compiled[0].request.operation not in MULTIPLYING or compiled[0].request.dtype == "fp32":
        return
    for item in compiled:
        if {"BLOCK_M", "BLOCK_K"} <= item.constants.keys():  # the others add up partial results
            assert item.code.tensor_core, f"{what(item)} does not use the tensor cores"
    forward = {item.code.arch: item for item in compiled[::-1]}
    for arch, item in forward.items():
        block = item.constants["BLOCK_M"]
        wide = arch == "sm_80" or block >= SMALLEST_WGMMA_BLOCK
        expected = TENSOR_CORE[arch] if wide else "mma.sync"
        assert expected in item.code.tensor_core, f"{what(item)}: {item.code.tensor_core}"


@pytest.mark.parametrize("arch", ["sm_90", pytest.param("sm_80", marks=pytest.mark.ci)])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_defaults_do_not_spill_and_use_the_tensor_cores(worker, operation, arch):
    check_default(compile_all(worker, operation, "bf16", 64, None, (arch,)))


@pytest.mark.ci
@pytest.mark.parametrize("operation", ["attention", *COUNTING])
def test_no_fused_multiply_add_in_counts_no_tf32_and_heads_with_a_short_tail(worker, operation):
    check_machine_code(operation, worker)


@pytest.mark.slow
@pytest.mark.parametrize("head_dim", [64, 80])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_defaults_in_every_type_and_at_the_head_dim_of_vit_h(worker, operation, dtype, head_dim):
    check_default(compile_all(worker, operation, dtype, head_dim, None))


@pytest.mark.parametrize(
    ("launch", "dtype", "head_dim", "archs"),
    [
        ("few, half", "bf16", 16, ("sm_90",)),
        *(
            pytest.param(launch, dtype, head_dim, ARCHS, marks=pytest.mark.slow)
            for head_dim in (16, 32)
            for launch in launches_by_name("cross_attention")
            for dtype in (("bf16", "fp16") if launch.endswith("half") else ("fp32",))
        ),
    ],
)
def test_the_decoders_cross_attention_at_its_own_head_dims(worker, launch, dtype, head_dim, archs):
    """16 where the decoder halves its channels, 32 where it does not; few queries, and many."""
    check_default(compile_all(worker, "cross_attention", dtype, head_dim, launch, archs))


@pytest.mark.ci
@pytest.mark.parametrize(("head_dim", "registers"), [(64, 128), (80, 200)])
def test_hopper_has_room_for_several_programs_of_rel_pos_attention(worker, head_dim, registers):
    """And at head dim 64, its backward goes over whole grid rows: no partial sums of d rel_h."""
    forward, by_query, _ = compile_all(worker, "rel_pos_attention", "bf16", head_dim, None, ("sm_90",))
    assert forward.code.registers <= registers
    assert forward.code.programs_per_sm >= 2
    assert by_query.constants["WHOLE_ROWS"] == (head_dim == 64)
    assert by_query.code.programs_per_sm >= 2, by_query.code.registers


@pytest.mark.ci
@pytest.mark.parametrize("arch", ARCHS)
def test_the_statistics_of_a_mask_need_no_barrier(worker, arch):
    (item,) = compile_all(worker, "mask_statistics", "fp32", 64, "large", (arch,))
    parts = (item.code.executed.outside, *item.code.executed.loops)
    assert sum(part.instructions for part in parts) > 0
    assert sum(part.barriers for part in parts) == 0


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("operation", "launch"), [(name, launch) for name in OPERATIONS for launch in launches_by_name(name)]
)
def test_every_launch_compiles_and_fits_where_its_type_belongs(worker, operation, launch, dtype):
    """ "hopper" launches are for sm_90 alone, and a launch made for 16-bit types may outgrow memory with wider ones."""
    made_for_this_type = dtype != "fp32" or not launch.endswith(("half", "hopper"))
    for item in compile_all(worker, operation, dtype, 64, launch):
        assert item.code.registers > 0
        if made_for_this_type and (item.code.arch == "sm_90" or launch != "hopper"):
            assert item.code.shared_bytes <= SHARED_LIMIT[item.code.arch], what(item)


def test_the_types_the_gate_compiles_are_those_that_kernels_take():
    from minisam_kernels.launch import DTYPES as TAKEN

    assert {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}.keys() == set(DTYPES)
    assert len(TAKEN) == len(DTYPES)
