"""Solutions of lesson 19."""

import re

from minisam_kernels.lab.gpus import Gpu

REGISTERS, SHARED, WARPS, PROGRAMS = 65536, 164 * 1024, 64, 32  # of one multiprocessor of an A100


def count_instructions(listing: str, name: str) -> int:
    """How many instructions of a listing have that name: their opcode up to the first dot."""
    opcodes = re.findall(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?\w+\s+)?(\w+)", listing)
    return opcodes.count(name)


def occupancy(registers: int, shared_bytes: int, warps: int) -> float:
    """registers of a thread, shared memory and warps of a program -> the share of WARPS that is filled."""
    registers_of_a_warp = -(-registers // 8) * 8 * 32
    warps_by_registers = 4 * (REGISTERS // 4 // registers_of_a_warp)
    shared_of_a_program = -(-(shared_bytes + 1024) // 128) * 128
    programs = min(
        warps_by_registers // warps,
        SHARED // shared_of_a_program,
        WARPS // warps,
        PROGRAMS,
    )
    return programs * warps / WARPS


def attention_floor(heads: int, tokens: int, head_dim: int, gpu: Gpu) -> float:
    """Microseconds that attention over one image takes at least: forward, bfloat16, every tensor moved once.

    gpu.products, gpu.exponentials and gpu.bytes are what the GPU does in a second; a multiply-add counts as two.
    """
    flop = 2 * 2 * heads * tokens**2 * head_dim
    moved = 4 * heads * tokens * head_dim * 2
    exponentials = heads * tokens**2
    seconds = max(flop / gpu.products, moved / gpu.bytes, exponentials / gpu.exponentials)
    return 1e6 * seconds


def share_of_floor(milliseconds: float, heads: int, tokens: int, head_dim: int, gpu: Gpu) -> float:
    """How near a measured time of attention is to the least possible one: 1 is perfect."""
    products = 4 * heads * tokens**2 * head_dim / gpu.products
    memory = 8 * heads * tokens * head_dim / gpu.bytes
    special = heads * tokens**2 / gpu.exponentials
    return max(products, memory, special) / (milliseconds / 1e3)
