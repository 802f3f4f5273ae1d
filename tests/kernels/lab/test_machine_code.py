"""The machine code of kernels whose properties are plain: which unit multiplies, how wide loads are, what spills."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from minisam_kernels.lab.inspection import Request, compiler
from minisam_kernels.lab.machine_code import MachineCode, count_load_widths, run_tool
from minisam_kernels.lab.occupancy import MULTIPROCESSORS, programs_per_multiprocessor


@pytest.fixture(scope="module")
def toys() -> dict:
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["PYTHONPATH"] = str(Path(__file__).parents[3] / "kernels")
    finished = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("compile_toys.py"))],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


def test_a_launch_is_recorded_as_triton_would_specialise_it(toys):
    aligned, odd, one = (toys["launches"][name] for name in ("aligned", "odd", "one"))
    assert aligned["signature"] == {"x_ptr": "*fp32", "out_ptr": "*fp32", "N": "i32", "BLOCK": "constexpr"}
    assert aligned["divisible"] == ["x_ptr", "out_ptr", "N"]
    assert aligned["constants"] == {"BLOCK": 1024}
    assert aligned["grid"] == [4] and aligned["name"] == "double_kernel"
    assert aligned["options"] == {"num_warps": 4, "num_stages": 3}
    assert odd["divisible"] == ["out_ptr", "N"]  # its x starts 4 bytes after such an address
    assert one["signature"]["N"] == "constexpr" and one["constants"]["N"] == 1
    assert toys["launches"]["product"]["options"] == {"num_warps": 4, "num_stages": 2}


@pytest.mark.parametrize(
    ("arch", "unit"), [("sm_80", "mma.sync"), ("sm_90", "wgmma"), ("sm_100", "tcgen05"), ("gfx942", "mfma")]
)
def test_each_generation_multiplies_in_its_own_way(toys, arch, unit):
    code = toys["product"][arch]
    assert set(code["tensor_core"]) == {unit}
    assert code["stack_bytes"] == 0 and code["shared_bytes"] >= 2 * 64 * 32 * 2
    assert 0 < code["registers"] <= 512 and 0 < code["occupancy"] <= 1


def test_alignment_decides_how_wide_loads_are(toys):
    assert set(toys["aligned"]["load_bits"]) == {"128"}
    assert set(toys["odd"]["load_bits"]) == {"32"}
    assert MachineCode.from_json(toys["odd"]).widest_loads().startswith("32: ")


def test_a_listing_has_the_instructions_alone(toys):
    lines = toys["aligned"]["listing"].splitlines()
    assert all(re.fullmatch(r"/\*[0-9a-f]{4,}\*/ +(@!?\w+ )?[A-Z]\w*[^;]*;", line) for line in lines)
    assert sum("LDG.E.128 " in line for line in lines) == toys["aligned"]["load_bits"]["128"]
    assert any(line.endswith("EXIT ;") for line in lines)


def test_one_kernel_of_a_call_is_compiled_alone_and_listed_where_that_is_asked_for():
    with compiler() as worker:
        (alone,) = worker.compile(Request("softmax", "bf16", 64, None, ("sm_80",), True, "softmax_kernel"))
        both = worker.compile(Request("softmax", "bf16", 64, None, ("sm_80",)))
    assert alone.kernel == "softmax_kernel" and "LDG.E.128 " in alone.code.listing
    assert [item.kernel for item in both] == ["softmax_kernel", "softmax_backward_kernel"]
    assert both[0].code == alone.code and not both[0].code.listing


def test_float32_products_take_no_tensor_core_and_large_ones_spill(toys):
    assert toys["spilling"]["tensor_core"] == {}
    assert toys["spilling"]["stack_bytes"] > 0
    assert toys["spilling"]["registers"] == 255


@pytest.mark.parametrize(
    ("instruction", "bits"),
    [
        ("LDG.E.128 R4, desc[UR4][R2.64]", 128),
        ("LDG.E.64.CONSTANT R4", 64),
        ("LDG.E R4, [R2.64]", 32),
        ("LDG.E.U16 R4", 16),
        ("LDG.E.S8 R4", 8),
        ("LDGSTS.E.BYPASS.LTC128B.128 [R1], desc[UR4]", 128),
        ("LDGSTS.E.64 [R1]", 64),
        ("LDGSTS.E [R1]", 32),
        ("LDG.E.LTC128B R4", 32),
        ("global_load_dwordx4 v[0:3], v4", 128),
        ("buffer_load_ushort v1, v2", 16),
        ("LDGDEPBAR", None),
        ("STG.E.128 [R2.64], R4", None),
    ],
)
def test_the_width_of_a_load(instruction, bits):
    assert count_load_widths(instruction) == ({bits: 1} if bits else {})


@pytest.mark.parametrize(
    ("arch", "registers", "shared", "warps", "programs", "limit"),
    [
        ("sm_90", 32, 0, 4, 16, "warps"),
        ("sm_90", 168, 0, 4, 3, "registers"),  # 65536 / (168 · 32) = 12.2 warps
        ("sm_90", 255, 0, 8, 1, "registers"),
        ("sm_90", 64, 100 * 1024, 4, 2, "shared memory"),
        ("sm_80", 64, 100 * 1024, 4, 1, "shared memory"),
        ("sm_80", 64, 164 * 1024, 4, 0, "shared memory"),
        ("sm_90", 16, 0, 1, 32, "programs"),
    ],
)
def test_occupancy_by_arithmetic(arch, registers, shared, warps, programs, limit):
    fit = programs_per_multiprocessor(arch, registers, shared, warps)
    assert (fit.programs, fit.limited_by) == (programs, limit)
    assert fit.occupancy == programs * warps / MULTIPROCESSORS[arch].warp_slots


def test_a_tool_that_fails_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="cuobjdump failed"):
        run_tool("cuobjdump", "-res-usage", str(tmp_path / "missing.cubin"))
