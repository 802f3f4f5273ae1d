"""Twelve learners' kernels that a GPU would run wrong or not at all are found, and ten right ones pass.

All of them are right in the interpreter. The five uncompilable ones are compiled by test_compiled_check.py.
"""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from minisam_kernels.cases import cases
from minisam_kernels.lab.check import check_function
from minisam_kernels.lab.compiled_check import check_compiled
from minisam_kernels.launch import INTERPRETED

pytestmark = pytest.mark.skipif(
    not INTERPRETED, reason="only the interpreter can be watched: TRITON_INTERPRET=1"
)
FOLDER = Path(__file__).parent / "learners"
RACY, RIGHT = (
    {name: value for name, value in runpy.run_path(str(FOLDER / file)).items() if name[0] != "_"}
    for file in ("racy.py", "right.py")
)
RACES = (
    "rows_in_common",
    "every_program_the_same_rows",
    "sum_from_another_program",
    "added_without_atomics",
    "stored_and_added",
    "divided_by_the_last_program",
    "shifted_in_place",
)
ALL_RIGHT = (
    "other_is_minus_infinity",
    "no_other_but_replaced",
    "clamped_addresses_and_base_two",
    "online_with_a_helper",
    "persistent_programs",
    "two_passes",
    "two_launches",
    "changed_by_a_second_launch",
    "sums_by_an_atomic_operation",
    "with_a_gradient",
)


@pytest.mark.parametrize("name", RACES)
def test_a_race_is_found(name):
    failure = check_function(RACY[name], "softmax", ("fp32",), "prime").failure
    assert failure is not None and failure.what.startswith("has a race: program"), failure


@pytest.mark.parametrize("name", ALL_RIGHT)
def test_what_is_right_passes_few_cases(name):
    report = check_function(RIGHT[name], "softmax", ("fp32", "fp16"), "prime")
    assert report.failure is None and report.launches >= report.total
    assert report.with_gradients == (name == "with_a_gradient")


@pytest.mark.ci
@pytest.mark.parametrize("name", ALL_RIGHT)
def test_what_is_right_passes_all_cases_and_compiles(name):
    assert check_function(RIGHT[name], "softmax").failure is None
    case = next(case for case in cases("softmax") if case.name == "wider than a block")
    found = check_compiled(f"{FOLDER / 'right.py'}:{name}", "softmax", [case], ("fp32", "fp16"))
    assert found.error == found.unseen == "" and found.kernels
