"""How often a program of each kernel goes through its code, which the machine code does not tell.

    (outside, loop, loop, …)     outside: 1, or less if some programs end at once or take another branch
                                 a loop: its turns, a mean over the programs, in the order of the machine code

The sizes are the kernel's integer arguments and constants by name. Kernels whose turns depend on the values of the
masks, mask_statistics and mask_bits, are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

Sizes = Mapping[str, int]
Turns = tuple[Fraction | int, ...]


def ceil(number: int, step: int) -> int:
    return -(-number // step)


def streamed(length: str, block: str) -> Callable[[Sizes], Turns]:
    """One loop over a dimension, block by block."""
    return lambda n: (1, ceil(n[length], n[block]))


def grid_rows(n: Sizes) -> Turns:
    return 1, n["H"] * ceil(n["W"], n["BLOCK_K"])


def queries_of_windows(n: Sizes) -> list[int]:
    """The real queries of each window of one image."""
    heights, widths = ([min(n["S"], n[side] - at) for at in range(0, n[side], n["S"])] for side in ("H", "W"))
    return [height * width for height in heights for width in widths]


def used_blocks(n: Sizes) -> Fraction:
    """The share of the programs that own queries; the others, in edge windows, have nothing to do."""
    windows = queries_of_windows(n)
    used = sum(min(n["BLOCKS"], ceil(queries, n["BLOCK_M"])) for queries in windows)
    return Fraction(used, n["BLOCKS"] * len(windows))


def window_forward(n: Sizes) -> Turns:
    used = used_blocks(n)
    return used, used * ceil(n["S"] ** 2, n["BLOCK_K"])


def window_backward(n: Sizes) -> Turns:
    """Half of the programs own queries, the other half keys: the second loop goes over a window's real queries.

    A program of the second half owns as many keys as one of the first owns queries.
    """
    windows = queries_of_windows(n)
    steps = Fraction(sum(ceil(queries, n["BLOCK_K"]) for queries in windows), len(windows))
    return Fraction(1, 2), used_blocks(n) * ceil(n["S"] ** 2, n["BLOCK_K"]) / 2, steps / 2


TURNS: dict[str, Callable[[Sizes], Turns]] = {
    "softmax_kernel": lambda n: (1,),
    "softmax_backward_kernel": lambda n: (1,),
    "attention_kernel": streamed("S", "BLOCK_K"),
    "attention_query_gradient_kernel": streamed("S", "BLOCK_K"),
    "attention_key_gradient_kernel": streamed("L", "BLOCK_M"),
    "cross_attention_kernel": streamed("keys_per_part", "BLOCK_K"),
    "cross_attention_query_gradient_kernel": streamed("keys_per_part", "BLOCK_K"),
    "cross_attention_key_gradient_kernel": streamed("rows_per_part", "BLOCK_M"),
    "join_parts_kernel": lambda n: (1, n["P"]),
    "add_parts_kernel": lambda n: (1, n["P"] // 4, n["P"] % 4),
    "rel_pos_attention_kernel": grid_rows,
    "query_gradient_kernel": grid_rows,
    "key_gradient_kernel": lambda n: (1, ceil(n["H"] * n["W"], n["BLOCK_M"])),
    "window_attention_kernel": window_forward,
    "window_attention_backward_kernel": window_backward,
    "token_to_image_kernel": streamed("tokens_per_part", "BLOCK_K"),
    "image_to_token_kernel": lambda n: (1, ceil(n["N"], n["BLOCK_K"] // n["BLOCK_T"])),
}
