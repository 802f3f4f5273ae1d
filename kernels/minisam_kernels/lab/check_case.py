"""Is the outcome of one call correct?  It is compared with the reference, on one case and in one type.

    inputs untouched -> a tensor of the right type, every element written -> within the error rule (equal, if it is a
    count) -> the same bits in a second run -> every gradient within the error rule

The first error ends the comparison, in one line with the index, both values and their difference.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from minisam_kernels import dense
from minisam_kernels.cases import Case, expected, expected_counts, gradients, output_gradient
from minisam_kernels.lab.answers.outcome import Call, Outcome
from minisam_kernels.lab.answers.process import Function, outcome_of
from minisam_kernels.lab.error_rule import GRADIENT_FACTOR, Verdict, compare
from minisam_kernels.launch import INTERPRETED


class CheckError(Exception):
    """One line that describes an error in a result."""


def check_case(function: Function, case: Case, dtype: torch.dtype) -> Outcome:
    """Raises CheckError at the first error; returns the outcome of a call that had none."""
    device = "cpu" if INTERPRETED or not torch.cuda.is_available() else "cuda"
    case = case.rounded(dtype)
    twins = {name: t.requires_grad_(not case.counts) for name, t in case.tensors(dtype, device).items()}
    torchs = dense.OPERATIONS[case.operation](**twins, **case.constants)
    gradient = None if case.counts else output_gradient(case)
    outcome = outcome_of(
        function, Call(case.inputs, case.constants, "triton", _name(dtype), gradient, twice=True)
    )
    try:
        require_right(outcome, case, dtype, device, twins, torchs)
    except CheckError as error:
        raise CheckError(f"{error}{what_a_gpu_changed(outcome)}") from error
    return outcome


def require_right(
    outcome: Outcome, case: Case, dtype: torch.dtype, device: str, twins: Mapping[str, Tensor], torchs: Tensor
) -> None:
    """Raises CheckError at the first error of the output, a second run, or a gradient."""
    out = require_output(outcome, case, dtype, device)
    if case.counts:
        require_equal("output", out, expected_counts(case, dtype))
    else:
        require(compare("output", out, expected(case), torchs))
    if outcome.again_error:
        raise CheckError(outcome.again_error)
    if outcome.again is None or not np.array_equal(outcome.again, _array(out)):
        raise CheckError(
            "a second run gives other bits: programs write to one address, or read unwritten memory"
        )
    if outcome.differentiable:
        require_gradients(outcome, case, dtype, twins, torchs)


def what_a_gpu_changed(outcome: Outcome) -> str:
    """What may be the cause of an error, because the interpreter was made like a GPU; "" if it made no difference."""
    causes = []
    if outcome.unset_lanes:
        causes.append(
            "a load has a mask but no `other`: its masked lanes hold NaN or large numbers here, and anything on a GPU"
        )
    if outcome.tf32_products:
        causes.append(
            "tl.dot multiplied float32 as TF32, a GPU's default, with 10 bits of the significand: "
            'give it input_precision="ieee"'
        )
    return "".join(f"; {cause}" for cause in causes)


def require_output(outcome: Outcome, case: Case, dtype: torch.dtype, device: str) -> Tensor:
    """The output, on the CPU. Raises CheckError unless there is one of the right type, and the inputs are untouched."""
    if outcome.error:
        raise CheckError(outcome.error)
    for name, tensor in case.tensors(dtype).items():
        before, after = _array(tensor), outcome.inputs.get(name)
        if after is None or not np.array_equal(after, before, equal_nan=True):
            raise CheckError(f"input {name} was written to")
    if outcome.value is None:
        raise CheckError(f"returned {outcome.kind}, wanted a tensor")
    wanted = torch.int32 if case.counts else dtype
    if outcome.dtype != str(wanted) or outcome.device != device:
        raise CheckError(f"returned {outcome.dtype} on {outcome.device}, wanted {wanted} on {device}")
    require_written(outcome.value, outcome.dtype, case.counts)
    return torch.tensor(outcome.value).to(wanted)


def require_written(value: np.ndarray, dtype: str, counts: bool) -> None:
    """Raises CheckError if elements have all bits set, as in a new tensor; no kernel computes this NaN.

    A count of −1 has all bits set too, and is reported only if all counts are −1.
    """
    new = 0xFFFF0000 if dtype == "torch.bfloat16" else np.iinfo(f"u{value.itemsize}").max
    unwritten = value.view(f"u{value.itemsize}") == new
    if value.size and (unwritten.all() if counts else unwritten.any()):
        first = [int(i) for i in np.argwhere(unwritten)[0]]
        how_many = (
            "no value was ever"
            if unwritten.all()
            else f"{int(unwritten.sum())} of {value.size} values were never"
        )
        raise CheckError(f"output: {how_many} written, the first at {first}")


def require_gradients(
    outcome: Outcome, case: Case, dtype: torch.dtype, twins: Mapping[str, Tensor], torchs: Tensor
) -> None:
    """Raises CheckError unless every input has its gradient, within the error rule."""
    if outcome.gradient_error:
        raise CheckError(outcome.gradient_error)
    grad = torch.tensor(output_gradient(case), dtype=dtype, device=torchs.device)
    wanted = gradients(case, grad.double().cpu().numpy())
    magnitude = max(float(abs(array).max(initial=0)) for array in wanted.values())
    torchs_grads = torch.autograd.grad(torchs, list(twins.values()), grad)
    for name, theirs in zip(twins, torchs_grads, strict=True):
        if name not in outcome.gradients:
            raise CheckError(f"gradient of {name}: there is none")
        mine = torch.tensor(outcome.gradients[name]).to(dtype)
        require(compare(f"gradient of {name}", mine, wanted[name], theirs, GRADIENT_FACTOR, magnitude))


def require(verdict: Verdict) -> None:
    if not verdict.ok:
        raise CheckError(verdict.explain())


def require_equal(name: str, got: Tensor, wanted: np.ndarray) -> None:
    """Raises CheckError unless these are the same whole numbers."""
    value = got.cpu().numpy()
    if value.shape != wanted.shape:
        raise CheckError(f"{name}: has shape {list(value.shape)}, wanted {list(wanted.shape)}")
    differ = np.argwhere(value != wanted)
    if len(differ):
        first = tuple(differ[0])
        numbers = f"{len(differ)} of {wanted.size} numbers" if wanted.size > 1 else "the number"
        at = f"the first at {[int(i) for i in first]}: got {value[first]}, wanted {wanted[first]}"
        raise CheckError(f"{name}: wrong in {numbers}, {at}")


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _array(tensor: Tensor) -> np.ndarray:
    """A NumPy array of the tensor, with bfloat16 as float32."""
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
