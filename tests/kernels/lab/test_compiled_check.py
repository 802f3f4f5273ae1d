"""Kernels that are right in the interpreter are compiled too: what a GPU would refuse is found without one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from minisam.cli.main import main
from minisam_kernels.cases import cases
from minisam_kernels.lab.check import check_function
from minisam_kernels.lab.compiled_check import (
    ARCHS,
    CompiledCheck,
    check_compiled,
    explain_compiled,
    too_much,
)
from minisam_kernels.lab.inspection import Compiled, CompileError, Limits, Request, UnseenError, compiler
from minisam_kernels.lab.machine_code import MachineCode
from minisam_kernels.lab.users_file import load_function
from minisam_kernels.launch import INTERPRETED

FILE = Path(__file__).parent / "learners" / "uncompilable.py"
SMALL = "one token"
CASE = next(case for case in cases("attention") if case.name == SMALL)
REFUSED = {
    "module_global": "Cannot access global variable LOG2E",
    "eight_keys_a_block": "K >= 16",
    "prints": "Cannot evaluate f-string",
    "half_accumulator": "acc",
    "sums_a_list": "sum",
}


def compiled(name: str, *dtypes: str) -> CompiledCheck:
    return check_compiled(f"{FILE}:{name}", "attention", [CASE], dtypes)


@pytest.mark.ci
@pytest.mark.parametrize("name", ["right", *REFUSED])
@pytest.mark.skipif(not INTERPRETED, reason="what only the interpreter takes: TRITON_INTERPRET=1")
def test_the_interpreter_takes_all_but_products_that_are_too_small(name):
    report = check_function(load_function(f"{FILE}:{name}"), "attention", ("fp16",), SMALL)
    if name == "eight_keys_a_block":
        assert report.failure is not None and REFUSED[name] in report.failure.what
    else:
        assert report.failure is None and report.launches == 1


@pytest.mark.parametrize(
    "name", ["module_global", *(pytest.param(name, marks=pytest.mark.ci) for name in list(REFUSED)[1:])]
)
def test_what_a_gpu_would_refuse_is_found(name):
    found = compiled(name, "fp16")
    assert found.error.startswith("does not compile for sm_80: ") and REFUSED[name] in found.error
    assert found.dtype == "fp16" and len(found.error.splitlines()) == 1


@pytest.mark.ci
def test_the_report_has_a_row_for_each_type_and_gpu():
    found = compiled("right", "fp32", "fp16")
    assert found.error == found.unseen == ""
    rows = [(item.request.dtype, item.code.arch) for item in found.kernels]
    assert rows == [(dtype, arch) for dtype in ("fp32", "fp16") for arch in ARCHS]
    lines = "\n".join(explain_compiled(found)).splitlines()
    assert lines[0] == "compiled without a GPU, case 'one token':" and "spilled B" in lines[1]
    assert len(lines) == 2 + 4 and "mma.sync" in lines[-1] and "none" in lines[2]


@pytest.mark.ci
def test_a_function_that_stops_before_its_launch_is_not_called_wrong():
    found = compiled("looks_at_the_device", "fp16")
    assert found.error == "" and found.kernels == []
    assert list(explain_compiled(found)) == [
        "not compiled: stops with RuntimeError: no GPU, before its kernels can be compiled"
    ]


def test_a_users_code_neither_spoils_the_answers_nor_takes_all_memory():
    """In one process: its start takes longer than all of this."""
    case = next(case for case in cases("softmax") if case.name == "prime").name
    place = f"{FILE.with_name('misbehaving.py')}:"
    says = {
        "writes_to_the_channel": "stops with RuntimeError: after the prints, before its kernels can be compiled",
        "takes_memory": "stops with RuntimeError: .*memory",
        "exits": r"ends the program \(SystemExit: exit code 3\), before its kernels can be compiled",
    }
    with compiler(Limits(300.0, 2.0)) as worker:
        for name, message in says.items():
            request = Request("softmax", "fp32", 64, None, ("sm_80",), place=place + name, case=case)
            with pytest.raises(UnseenError, match=message):
                worker.compile(request)
        with pytest.raises(CompileError, match=r"has ended \(exit code 3; its limit is 2 GB of memory\)"):
            worker.compile(replace(request, place=f"{place}ends_the_process"))


def test_compiling_ends_after_its_time():
    with (
        compiler(Limits(seconds=0.1)) as worker,
        pytest.raises(CompileError, match=r"stopped after 0\.1 seconds"),
    ):
        worker.compile(Request("softmax", "fp32", 64, None, ("sm_80",)))


def an_item(shared_bytes: int, stack_bytes: int = 0) -> Compiled:
    code = MachineCode("sm_80", 64, stack_bytes, shared_bytes, 4, 1, 0.1, "shared memory", {}, {}, 0)
    return Compiled(Request("attention", "fp16", 64, None, ("sm_80",)), "mine", (1,), {}, 2, code)


def test_a_launch_needs_no_more_shared_memory_than_a_program_may_have():
    assert too_much(an_item(163 * 1024)) == ""
    assert too_much(an_item(163 * 1024 + 128)).startswith("mine needs 163.1 KB of shared memory on sm_80")


def test_spills_are_explained_and_torch_alone_is_named():
    found = CompiledCheck("prime", [an_item(1024, stack_bytes=48)])
    assert list(explain_compiled(found))[-1].startswith("spills: ")
    found.kernels[0] = an_item(1024)
    assert "spills" not in list(explain_compiled(found))[-1]
    assert list(explain_compiled(replace(found, kernels=[]))) == ["no kernel was launched"]


@pytest.mark.ci
def test_the_command_exits_4_for_what_does_not_compile(capsys):
    words = ["kernel", "check", f"{FILE}:module_global", "--like", "attention", "--case", SMALL]
    assert main([*words, "--json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert report["right"] == report["total"] == 2 and report["launches"] == 2
    assert report["failure"]["what"].startswith("does not compile for sm_80: ")
    assert main([*words[:2], f"{FILE}:right", *words[3:], "--dtype", "fp32"]) == 0
    assert "compiled without a GPU" in capsys.readouterr().out
