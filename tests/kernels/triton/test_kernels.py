"""What every kernel has to pass: one suite for all of them, in the interpreter or, with -m gpu, on a CUDA device.

Values and gradients are within the error rule, or equal where they are counts, between guard bands and with every
lane checked; results are the same bits in every run, for an image alone or in a batch, for every memory layout,
eager or compiled.
"""

from __future__ import annotations

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from kernel_checks import (
    RecordedCalls,
    check_batch,
    check_batches,
    check_choice_of_launch,
    check_float64,
    check_layout,
    check_programs,
    check_sums,
)
from kernel_operations import DEVICE, DIFFERENTIABLE, DTYPES, OPERATIONS, assert_same_bits, run, tensors
from strategies import lay_out

from minisam_kernels.cases import cases
from minisam_kernels.lab.catalog import module_of
from minisam_kernels.lab.check_case import check_case
from minisam_kernels.launch import INTERPRETED
from minisam_kernels.mask_cases import COUNTING

pytestmark = [] if INTERPRETED else [pytest.mark.gpu]
needs_interpreter = pytest.mark.skipif(not INTERPRETED, reason="float64 runs without a CUDA device alone")
needs_gpu = pytest.mark.skipif(INTERPRETED, reason="needs a CUDA device")
BY_SIZE = ("softmax", *COUNTING)  # operations whose launch does not follow the type
EXAMPLES, CI_EXAMPLES, SLOW_EXAMPLES = (2, 10, 200) if INTERPRETED else (10, 10, 60)
# A failing example is reported as it was drawn: making it smaller takes the interpreter minutes.
PHASES = [Phase.explicit, Phase.reuse, Phase.generate]

every_operation = pytest.mark.parametrize("operation", OPERATIONS.values(), ids=list(OPERATIONS))
every_differentiable = pytest.mark.parametrize("operation", DIFFERENTIABLE.values(), ids=list(DIFFERENTIABLE))
every_dtype = pytest.mark.parametrize("dtype", DTYPES.values(), ids=list(DTYPES))
# In the interpreter a commit takes float16 to the few telling cases, and CI to the others.
every_case_and_dtype = pytest.mark.parametrize(
    ("operation", "case", "dtype"),
    [
        pytest.param(
            operation,
            case,
            dtype,
            id=f"{operation.name}-{case.name}-{name}",
            marks=[pytest.mark.ci]
            if INTERPRETED and name == "fp16" and not operation.is_telling(case)
            else [],
        )
        for operation in OPERATIONS.values()
        for case in cases(operation.name)
        for name, dtype in DTYPES.items()
    ],
)
LAUNCHES = [(operation, launch) for operation in OPERATIONS.values() for launch in operation.launches]
every_launch = pytest.mark.parametrize(
    ("operation", "launch"), LAUNCHES, ids=[f"{operation.name}-{launch}" for operation, launch in LAUNCHES]
)
# In the interpreter test_values_and_gradients uses the launches for float32 too.
other_launches_at_a_commit = pytest.mark.parametrize(
    ("operation", "launch"),
    [
        pytest.param(
            operation,
            launch,
            id=f"{operation.name}-{launch}",
            marks=[pytest.mark.ci] if INTERPRETED and launch.endswith("single") else [],
        )
        for operation, launch in LAUNCHES
    ],
)


@every_case_and_dtype
def test_values_and_gradients(operation, case, dtype):
    assert check_case(operation.function, case, dtype).differentiable == operation.differentiable


@other_launches_at_a_commit
def test_every_launch_on_telling_cases(operation, launch):
    dtypes = [torch.float32] if INTERPRETED else DTYPES.values()
    for case in operation.telling_cases():
        for dtype in dtypes:
            check_case(operation.with_launch(launch), case, dtype)


@pytest.mark.slow
@every_dtype
@every_launch
def test_every_launch_on_every_case(operation, launch, dtype):
    for case in cases(operation.name):
        check_case(operation.with_launch(launch), case, dtype)


def check_drawn(operation, data):
    case = operation.case(data.draw(operation.sizes, label="size"))
    dtype = data.draw(st.sampled_from(list(DTYPES.values())), label="dtype")
    launch = data.draw(st.sampled_from(list(operation.launches)), label="launch")
    check_case(operation.with_launch(launch), case, dtype)


@every_operation
@given(data=st.data())
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True, phases=PHASES)
def test_drawn_sizes(operation, data):
    check_drawn(operation, data)


@pytest.mark.ci
@every_operation
@given(data=st.data())
@settings(max_examples=CI_EXAMPLES, deadline=None, derandomize=True, phases=PHASES)
def test_more_drawn_sizes(operation, data):
    check_drawn(operation, data)


@pytest.mark.slow
@every_operation
@given(data=st.data())
@settings(max_examples=SLOW_EXAMPLES, deadline=None, print_blob=True, phases=PHASES)
def test_many_drawn_sizes(operation, data):
    check_drawn(operation, data)


@needs_interpreter
@every_operation
def test_float64_in_the_interpreter(operation):
    check_float64(operation, module_of(operation.name))


@needs_interpreter
@every_differentiable
def test_gradcheck(operation):
    case = operation.case(operation.small)
    inputs = tensors(case, torch.float64)

    def function(*values):
        return operation.function(*values, **case.constants)

    assert torch.autograd.gradcheck(function, tuple(inputs.values()), fast_mode=True)


@every_dtype
@every_operation
def test_every_run_gives_the_same_bits(operation, dtype):
    case = operation.case_for_bits()
    first = run(operation.function, tensors(case, dtype), case)
    for _ in range(1 if INTERPRETED else 100):
        assert_same_bits(run(operation.function, tensors(case, dtype), case), first)


@every_dtype
@every_operation
def test_a_batch_does_not_change_the_bits_of_its_members(operation, dtype):
    check_batch(operation.function, operation, [operation.case_for_bits()], dtype)


@pytest.mark.ci
@pytest.mark.parametrize("operation", [each for each in OPERATIONS.values() if each.split])
def test_a_batch_does_not_change_the_parts_of_a_sum(operation):
    check_batches(operation, module_of(operation.name))


@needs_interpreter
@every_operation
def test_the_memory_layout_of_one_input_alone_does_not_change_the_bits(operation):
    check_layout(operation, module_of(operation.name))


@pytest.mark.parametrize("operation", [each for name, each in OPERATIONS.items() if name not in BY_SIZE])
def test_the_launch_follows_type_and_generation_and_backward_has_the_same(operation):
    check_choice_of_launch(operation, module_of(operation.name))


@needs_interpreter
@every_operation
def test_what_is_stored_beside_results_is_float32(operation):
    check_sums(operation, module_of(operation.name))


@needs_interpreter
@every_operation
def test_no_program_is_idle(operation):
    check_programs(operation, module_of(operation.name))


@pytest.mark.parametrize("layout", ["permuted", "strided", "offset", "expanded"])
@every_operation
def test_memory_layout_does_not_change_the_bits(operation, layout):
    case = operation.case_for_bits()
    inputs = {name: x.detach() for name, x in tensors(case, torch.float32).items()}
    if layout == "expanded":
        laid_out = {
            n: x[:1].expand(3, *x.shape[1:]) if n in operation.batched else x for n, x in inputs.items()
        }
        inputs = {name: x.contiguous() for name, x in laid_out.items()}
    else:
        laid_out = {name: lay_out(x, layout) for name, x in inputs.items()}
    for both in (inputs, laid_out):
        for x in both.values():
            x.requires_grad_(not case.counts)
    out, grads = run(operation.function, inputs, case)
    grad_out = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).to(out)
    other = run(operation.function, laid_out, case, grad_out.mT.contiguous().mT)
    assert_same_bits(other, (out, grads))


@every_differentiable
def test_a_gradient_that_is_one_number_expanded(operation):
    case = operation.case_for_bits()
    inputs = tensors(case, torch.float32)
    shape = operation.function(**inputs, **case.constants).shape
    one = torch.ones((), device=DEVICE)
    wanted = run(operation.function, inputs, case, one.expand(shape).contiguous())
    assert_same_bits(run(operation.function, inputs, case, one.expand(shape)), wanted)


@every_operation
def test_a_batch_of_none(operation):
    case = operation.case(operation.small)
    inputs = tensors(case, torch.float32)
    empty = {
        name: x.detach()[:0].requires_grad_(not case.counts) if name in operation.batched else x
        for name, x in inputs.items()
    }
    out, grads = run(operation.function, empty, case)
    full = operation.function(**inputs, **case.constants)
    assert out.shape == (0, *full.shape[1:])
    for name, grad in grads.items():
        assert grad.shape == empty[name].shape and not grad.any()


@every_operation
def test_opcheck_of_every_operator(operation):
    case = operation.case(operation.small)
    with RecordedCalls() as recorded:
        run(operation.function, tensors(case, torch.float32), case)
    assert len(recorded.calls) >= 1 + operation.differentiable
    for operator, args in recorded.calls.items():
        wanted = operation.differentiable and "backward" not in operator.name()
        fresh = [
            x.detach().clone().requires_grad_(wanted) if isinstance(x, torch.Tensor) else x for x in args
        ]
        torch.library.opcheck(operator, tuple(fresh))


@every_operation
def test_compiles_into_one_graph(operation):
    case = operation.case(operation.small)
    compiled = torch.compile(operation.function, fullgraph=True, backend="aot_eager")
    wanted = run(operation.function, tensors(case, torch.float32), case)
    assert_same_bits(run(compiled, tensors(case, torch.float32), case), wanted)
    torch.compiler.reset()


@every_differentiable
def test_nothing_larger_than_inputs_and_output_is_kept_for_backward(operation):
    case = operation.case(operation.long)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        inputs = tensors(case, torch.float32)
        out = operation.function(**inputs, **case.constants)
    assert out.requires_grad and kept
    assert max(kept) <= max(x.numel() for x in (*inputs.values(), out))


@every_operation
def test_an_unknown_launch_is_refused_by_name(operation):
    case = operation.case(operation.small)
    with pytest.raises(ValueError, match=f"no launch 'fastest'; use one of {next(iter(operation.launches))}"):
        operation.with_launch("fastest")(**tensors(case, torch.float32), **case.constants)


@needs_interpreter
@every_operation
def test_bfloat16_is_refused_in_the_interpreter(operation):
    case = operation.case(operation.small)
    with pytest.raises(ValueError, match=f"{operation.name}: Triton's interpreter computes bfloat16 wrongly"):
        operation.function(**tensors(case, torch.bfloat16), **case.constants)


@needs_gpu
@every_operation
def test_the_cpu_and_float64_are_refused_on_a_gpu(operation):
    case = operation.case(operation.small)
    with pytest.raises(ValueError, match="float64 runs only in Triton's interpreter"):
        operation.function(**tensors(case, torch.float64), **case.constants)
    on_cpu = {name: x.cpu() for name, x in tensors(case, torch.float32).items()}
    with pytest.raises(ValueError, match="move them to a CUDA device"):
        operation.function(**on_cpu, **case.constants)


@every_operation
def test_types_without_a_kernel_are_refused(operation):
    case = operation.case(operation.small)
    integers = {name: x.detach().long() for name, x in tensors(case, torch.float32).items()}
    with pytest.raises(ValueError, match=r"torch.int64 has no kernel; use float32"):
        operation.function(**integers, **case.constants)
    mixed = tensors(case, torch.float32)
    last = list(mixed)[-1]
    if len(mixed) > 1:
        mixed[last] = mixed[last].half()
        with pytest.raises(
            ValueError, match=f"{last} is torch.float16 on {DEVICE}.*convert them to one type"
        ):
            operation.function(**mixed, **case.constants)
