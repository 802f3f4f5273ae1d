"""A kernel's tests are as good as the faults that they find: every planted one has to be found.

The lists are in mutants/, one file an operation. Each mutant names the check in kernel_checks.py that has to find it:
its cases, in float32 and in float16, unless it says otherwise. One that merely crashes proves nothing and counts as not
found.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import pytest
from kernel_checks import CHECKS, check_machine_code
from kernel_operations import OPERATIONS

from minisam_kernels.lab.check_case import CheckError
from minisam_kernels.lab.inspection import CompileError, compiler
from minisam_kernels.lab.memory_guard import StrayAccess
from minisam_kernels.lab.mutants import copy_of_package, load
from minisam_kernels.launch import INTERPRETED

pytestmark = pytest.mark.skipif(not INTERPRETED, reason="mutants are run in the interpreter: no CUDA device")

FAULTS = (AssertionError, CheckError, CompileError, StrayAccess)
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


@pytest.mark.parametrize("operation", LISTS)
def test_a_dozen_mutants_at_least_each_its_own(operation):
    names = [(mutant.file, mutant.name) for mutant in LISTS[operation]]
    assert len(names) >= 12
    assert len({mutant.source() for mutant in LISTS[operation]}) == len(names) == len({*names})


@pytest.mark.slow
@pytest.mark.parametrize("operation", LISTS)
def test_the_kernel_without_a_mutation_passes(operation, tmp_path):
    module = load(operation, None, tmp_path)
    for name in {mutant.found_by for mutant in LISTS[operation]} - {"machine code"}:
        CHECKS[name](OPERATIONS[operation], module)


@pytest.mark.parametrize(("operation", "mutant"), ALL)
def test_a_mutant_is_found(operation, mutant, tmp_path):
    with pytest.raises(FAULTS) as found, np.errstate(all="ignore"):
        if mutant.found_by == "machine code":
            with compiler(packages=str(copy_of_package(mutant, tmp_path))) as worker:
                check_machine_code(operation, worker)
        else:
            CHECKS[mutant.found_by](OPERATIONS[operation], load(operation, mutant, tmp_path))
    assert "stops with" not in str(found.value)
