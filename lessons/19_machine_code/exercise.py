"""Lesson 19: read machine code, count what fits, find floors. `minisam lesson check 19 FILE` judges the answers."""

from minisam_kernels.lab.gpus import Gpu

REGISTERS, SHARED, WARPS, PROGRAMS = 65536, 164 * 1024, 64, 32  # of one multiprocessor of an A100


def count_instructions(listing: str, name: str) -> int:
    """How many instructions of a listing have that name: their opcode up to the first dot."""
    raise NotImplementedError


def occupancy(registers: int, shared_bytes: int, warps: int) -> float:
    """registers of a thread, shared memory and warps of a program -> the share of WARPS that is filled."""
    raise NotImplementedError


def attention_floor(heads: int, tokens: int, head_dim: int, gpu: Gpu) -> float:
    """Microseconds that attention over one image takes at least: forward, bfloat16, every tensor moved once.

    gpu.products, gpu.exponentials and gpu.bytes are what the GPU does in a second; a multiply-add counts as two.
    """
    raise NotImplementedError


def share_of_floor(milliseconds: float, heads: int, tokens: int, head_dim: int, gpu: Gpu) -> float:
    """How near a measured time of attention is to the least possible one: 1 is perfect. There is a bug in it."""
    tile = 1 << (head_dim - 1).bit_length()
    products = 4 * heads * tokens**2 * tile / gpu.products
    memory = 8 * heads * tokens * tile / gpu.bytes
    special = heads * tokens**2 / gpu.exponentials
    return max(products, memory, special) / (milliseconds / 1e3)
