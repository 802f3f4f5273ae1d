"""Compile a kernel, for a GPU that this machine need not have, and read the machine code.

    jit function + argument types + constants  ->  PTX  ->  cubin  ->  registers, stack, instructions

Triton includes NVIDIA's assembler and disassembler, and all of this runs on any Linux machine.  Registers and shared
memory determine how many programs fit on a multiprocessor at once (its occupancy). A stack means that registers ran
out and values spill to memory. The instructions show whether the tensor cores are used and how wide the loads are.
Nothing here can run while Triton interprets (TRITON_INTERPRET=1), see worker.py.

Words     program = thread block   warp = 32 threads   SM = multiprocessor   SASS = NVIDIA machine code
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from minisam_kernels.lab.instructions import Counts, Executed, read_instructions
from minisam_kernels.lab.occupancy import programs_per_multiprocessor

TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
TARGETS = {
    "sm_80": GPUTarget("cuda", 80, 32),
    "sm_89": GPUTarget("cuda", 89, 32),
    "sm_90": GPUTarget("cuda", 90, 32),
    "sm_100": GPUTarget("cuda", 100, 32),
    "gfx942": GPUTarget("hip", "gfx942", 64),
}
# One pattern for each kind of tensor-core instruction: NVIDIA's by generation, then AMD's.
TENSOR_CORE = {
    "mma.sync": r"\b[HBID]MMA\.\S+",
    "wgmma": r"\b[HQI]GMMA\.\S+",
    "tcgen05": r"\bUTC[HQIO]MMA\S*",
    "mfma": r"\bv_mfma_\w+",
}
# Address, predicate if there is one, opcode and operands, as NVIDIA's disassembler prints them.
INSTRUCTION = re.compile(r"^\s*(/\*[0-9a-f]{4,}\*/\s+[^.\s][^;]*;)", re.MULTILINE)
GLOBAL_LOAD = re.compile(r"\b(?:LDG|LDGSTS)\.(\S+)|\b(?:global|buffer)_load_(\w+)")
AMD_BITS = {"ushort": 16, "short": 16, "ubyte": 8, "dword": 32, "dwordx2": 64, "dwordx3": 96, "dwordx4": 128}


@dataclass(frozen=True)
class MachineCode:
    """The compiled code of one kernel: resources in bytes, and counts of instructions.

    `executed` counts what a warp executes and `listing` is the disassembly, one instruction per line; NVIDIA only.
    """

    arch: str
    registers: int
    stack_bytes: int
    shared_bytes: int
    num_warps: int
    programs_per_sm: int
    occupancy: float
    limited_by: str
    tensor_core: dict[str, int]
    load_bits: dict[int, int]
    bulk_loads: int
    executed: Executed = field(default_factory=lambda: Executed(Counts(), ()))
    listing: str = field(default="", repr=False, compare=False)

    @staticmethod
    def from_json(record: dict[str, Any]) -> MachineCode:
        """From the output of asdict after JSON, which turns the widths into strings."""
        widths = {int(bits): count for bits, count in record["load_bits"].items()}
        executed = Executed.from_json(record["executed"])
        return MachineCode(**{**record, "load_bits": widths, "executed": executed})

    def widest_loads(self) -> str:
        """Global loads by width in bits, "128: 24, 16: 2"; the copy engine's are called bulk."""
        found = [f"{bits}: {count}" for bits, count in sorted(self.load_bits.items(), reverse=True)]
        return ", ".join(found + ([f"bulk: {self.bulk_loads}"] if self.bulk_loads else []))


def compile_for(
    arch: str,
    function: Any,
    signature: Mapping[str, str],
    constants: Mapping[str, object],
    divisible: tuple[str, ...] = (),
    num_warps: int = 4,
    num_stages: int = 3,
    enable_fp_fusion: bool = True,
) -> MachineCode:
    """Compile a jit function and read the result.

    `signature` gives every parameter's type ("*fp16", "i32", "fp32", "constexpr"), `constants` the values of the
    constexpr ones. `divisible` names the pointers and integers that are multiples of 16; at a launch Triton detects
    these itself. Without it no load is wider than one element.
    """
    names = list(signature)
    attributes = {(names.index(name),): [["tt.divisibility", 16]] for name in divisible}
    source = ASTSource(function, dict(signature), {k: constants[k] for k in constants}, attributes)
    options = {"num_warps": num_warps, "num_stages": num_stages, "enable_fp_fusion": enable_fp_fusion}
    kernel = triton.compile(source, target=TARGETS[arch], options=options)
    if arch.startswith("gfx"):
        return read_amdgcn(arch, kernel.asm["amdgcn"], kernel.metadata.shared, num_warps)
    return read_cubin(arch, kernel.asm["cubin"], kernel.metadata.shared, num_warps)


def read_cubin(arch: str, cubin: bytes, shared_bytes: int, num_warps: int) -> MachineCode:
    """Registers and stack from the resource table, instructions from the disassembly."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        usage = run_tool("cuobjdump", "-res-usage", file.name)
        sass = run_tool("nvdisasm", file.name)
    found = re.search(r"REG:(\d+) STACK:(\d+) SHARED:(\d+)", usage)
    if found is None:
        raise RuntimeError(f"cuobjdump reports no registers; it printed: {usage.strip()!r}")
    registers, stack = int(found[1]), int(found[2])
    return describe(arch, sass, registers, stack, shared_bytes, num_warps)


def read_amdgcn(arch: str, assembly: str, shared_bytes: int, num_warps: int) -> MachineCode:
    """The same from AMD's assembly, where the numbers are at the end of the text."""
    vector = int(re.findall(r"\.vgpr_count:\s+(\d+)", assembly)[-1])
    stack = int(re.findall(r"\.private_segment_fixed_size:\s+(\d+)", assembly)[-1])
    return describe(arch, assembly, vector, stack, shared_bytes, num_warps)


def describe(
    arch: str, assembly: str, registers: int, stack: int, shared_bytes: int, num_warps: int
) -> MachineCode:
    fit = programs_per_multiprocessor(arch, registers, shared_bytes, num_warps)
    found = {unit: len(re.findall(pattern, assembly)) for unit, pattern in TENSOR_CORE.items()}
    return MachineCode(
        arch=arch,
        registers=registers,
        stack_bytes=stack,
        shared_bytes=shared_bytes,
        num_warps=num_warps,
        programs_per_sm=fit.programs,
        occupancy=fit.occupancy,
        limited_by=fit.limited_by,
        tensor_core={unit: count for unit, count in found.items() if count},
        load_bits=count_load_widths(assembly),
        bulk_loads=len(re.findall(r"\bUTMALDG\S*", assembly)),
        executed=read_instructions(assembly),
        listing="\n".join(INSTRUCTION.findall(assembly)),
    )


def count_load_widths(assembly: str) -> dict[int, int]:
    """Loads from global memory by the bits per thread: LDG.E.128, LDGSTS.E.BYPASS.128, LDG.E.U16."""
    widths: Counter[int] = Counter()
    for nvidia, amd in GLOBAL_LOAD.findall(assembly):
        named = [int(part.lstrip("US")) for part in nvidia.split(".") if re.fullmatch(r"[US]?\d+", part)]
        widths[AMD_BITS.get(amd, 16) if amd else named[0] if named else 32] += 1
    return dict(widths)


def run_tool(name: str, *arguments: str) -> str:
    """The output of one of the tools that Triton ships."""
    finished = subprocess.run([str(TOOLS / name), *arguments], capture_output=True, text=True, check=False)
    if finished.returncode:
        raise RuntimeError(f"{name} failed: {finished.stderr.strip()}")
    return finished.stdout
