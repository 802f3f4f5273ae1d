"""A kernel's tests are as good as the faults that they find: every planted one has to be found.

The lists are in mutants/, one file an operation. A mutant is found where the operation's cases, in float32 and in
float16, or its launches and layouts, call it wrong; one that merely crashes proves nothing and counts as not found.
"""

from __future__ import annotations

import runpy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from kernel_operations import OPERATIONS, assert_same_bits, run, tensors
from strategies import lay_out

from minisam_kernels.cases import cases
from minisam_kernels.lab.check import CheckError, check_case
from minisam_kernels.lab.mutants import load
from minisam_kernels.launch import INTERPRETED

pytestmark = pytest.mark.skipif(not INTERPRETED, reason="mutants are run in the interpreter: no CUDA device")

EVERY = 3  # of how many mutants one is tried by CI, every third one of them at a commit; the others are slow tests


def marks(number: int) -> list[pytest.MarkDecorator]:
    """Of the mutant of this number in its list."""
    if number % EVERY:
        return [pytest.mark.slow]
    return [pytest.mark.ci] if number % (3 * EVERY) else []


LISTS = {
    path.stem: runpy.run_path(str(path))["MUTANTS"]
    for path in sorted((Path(__file__).parent / "mutants").glob("*.py"))
}
ALL = [
    pytest.param(
        operation,
        mutant,
        id=f"{operation}-{mutant.file}-{mutant.name}",
        marks=marks(number),
    )
    for operation, mutants in LISTS.items()
    for number, mutant in enumerate(mutants)
]


def check(operation: str, module) -> None:
    """What a kernel has to pass, in an order that finds most faults soon."""
    function, telling = getattr(module, operation), OPERATIONS[operation].telling_cases()
    for case in telling:
        check_case(function, case, torch.float32)
    check_layout(function, telling[0])
    for case in cases(operation)[::-1]:
        check_case(function, case, torch.float32)
    for launch in module.LAUNCHES:
        for case in telling:
            check_case(partial(function, launch=launch), case, torch.float16)


def check_layout(function, case) -> None:
    inputs = tensors(case, torch.float32)
    wanted = run(function, inputs, case)
    grad_out = torch.randn(wanted[0].shape, generator=torch.Generator().manual_seed(0))
    permuted = {
        name: lay_out(x.detach(), "permuted").requires_grad_(not case.counts) for name, x in inputs.items()
    }
    try:
        assert_same_bits(run(function, permuted, case, lay_out(grad_out, "permuted")), wanted)
    except AssertionError as error:
        raise CheckError(str(error)) from error


@pytest.mark.parametrize("operation", LISTS)
def test_a_dozen_mutants_at_least_each_its_own(operation):
    names = [(mutant.file, mutant.name) for mutant in LISTS[operation]]
    assert len(names) >= 12
    assert len({mutant.source() for mutant in LISTS[operation]}) == len(names) == len({*names})


@pytest.mark.slow
@pytest.mark.parametrize("operation", LISTS)
def test_the_kernel_without_a_mutation_passes(operation, tmp_path):
    check(operation, load(operation, None, tmp_path))


@pytest.mark.parametrize(("operation", "mutant"), ALL)
def test_a_mutant_is_found(operation, mutant, tmp_path):
    with pytest.raises(CheckError) as found, np.errstate(all="ignore"):
        check(operation, load(operation, mutant, tmp_path))
    assert "stops with" not in str(found.value)
