"""Lesson 27: layouts, loads and wgmma, counted. `minisam lesson check 27 FILE` checks the answers."""

import numpy as np


def thread_of(
    row: np.ndarray,
    column: np.ndarray,
    size_per_thread: tuple[int, int],
    threads_per_warp: tuple[int, int],
    warps_per_cta: tuple[int, int],
) -> np.ndarray:
    """row [n], column [n] of elements -> the number of the thread that holds each, 32 · warp + lane, [n]."""
    raise NotImplementedError


def lines_of_a_load(size_per_thread: tuple[int, int], threads_per_warp: tuple[int, int], columns: int) -> int:
    """How many lines of 128 bytes the 32 lanes of warp 0 touch, each loading its first element.

    The matrix has float32 numbers, `columns` in a row, rows after each other in memory from the start of a line.
    """
    raise NotImplementedError


def count_wgmma(m: int, n: int, k: int, bits: int, warps: int) -> int:
    """How many wgmma instructions each group of four warps issues for a product of an m × k and a k × n tile."""
    raise NotImplementedError


def coalesced_layout(shape: np.ndarray, bits: int, warps: int) -> np.ndarray:
    """shape [2] of a row-major matrix -> size_per_thread, threads_per_warp and warps_per_cta, as [3, 2].

    There is a bug in it.
    """
    in_thread = 128 // bits
    down = min(int(shape[0]), 32)
    across = 32 // down
    return np.array([[1, in_thread], [down, across], [1, warps]], shape.dtype)
