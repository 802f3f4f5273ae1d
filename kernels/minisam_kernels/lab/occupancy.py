"""How many programs fit on one multiprocessor at a time, calculated.

    programs = min( registers / (registers of a warp, rounded up) / warps,
                    shared memory / (shared memory of a program, rounded up + reserve),
                    warp slots / warps, program slots )
    occupancy = programs * warps / warp slots

Source    NVIDIA, CUDA C++ Programming Guide, "Technical Specifications per Compute Capability", and the Hopper,
          Ampere and Blackwell tuning guides (the system reserves 1 KB of shared memory per program);
          AMD, CDNA3 instruction set guide (512 registers per lane and SIMD, four SIMDs, 64 KB of shared memory).
"""

from __future__ import annotations

from dataclasses import dataclass

KB = 1024


@dataclass(frozen=True)
class Multiprocessor:
    """The resources that programs on it share.  `shared_per_program` is the most that one program may use."""

    shared: int
    shared_per_program: int
    warp_slots: int
    program_slots: int
    registers: int = 65536
    threads_per_warp: int = 32
    register_step: int = 8
    shared_step: int = 128
    shared_reserve: int = 1 * KB


MULTIPROCESSORS = {
    "sm_80": Multiprocessor(164 * KB, 163 * KB, 64, 32),
    "sm_89": Multiprocessor(100 * KB, 99 * KB, 48, 24),
    "sm_90": Multiprocessor(228 * KB, 227 * KB, 64, 32),
    "sm_100": Multiprocessor(228 * KB, 227 * KB, 64, 32),
    "gfx942": Multiprocessor(64 * KB, 64 * KB, 32, 32, 131072, 64, shared_step=512, shared_reserve=0),
}


@dataclass(frozen=True)
class Fit:
    """Programs at a time, the share of warp slots they fill, and the resource that prevents one more."""

    programs: int
    occupancy: float
    limited_by: str


def programs_per_multiprocessor(arch: str, registers: int, shared_bytes: int, num_warps: int) -> Fit:
    """`registers` of one thread, `shared_bytes` and `num_warps` of one program."""
    sm = MULTIPROCESSORS[arch]
    warp_registers = round_up(registers, sm.register_step) * sm.threads_per_warp
    # Each quarter of a multiprocessor has a quarter of the registers and takes every fourth warp.
    warps_by_registers = 4 * (sm.registers // 4 // warp_registers) if registers else sm.warp_slots
    limits = {
        "warps": sm.warp_slots // num_warps,
        "registers": warps_by_registers // num_warps,
        "programs": sm.program_slots,
    }
    shared = round_up(shared_bytes + sm.shared_reserve, sm.shared_step)
    if shared_bytes > sm.shared_per_program:
        limits["shared memory"] = 0
    elif shared:
        limits["shared memory"] = sm.shared // shared
    limited_by = min(limits, key=lambda name: limits[name])
    programs = limits[limited_by]
    return Fit(programs, programs * num_warps / sm.warp_slots, limited_by)


def round_up(number: int, step: int) -> int:
    return -(-number // step) * step
