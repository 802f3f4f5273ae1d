"""Solutions of lesson 27."""

import numpy as np


def thread_of(
    row: np.ndarray,
    column: np.ndarray,
    size_per_thread: tuple[int, int],
    threads_per_warp: tuple[int, int],
    warps_per_cta: tuple[int, int],
) -> np.ndarray:
    """row [n], column [n] of elements -> the number of the thread that holds each, 32 · warp + lane, [n]."""
    lane_row, lane_column = row // size_per_thread[0], column // size_per_thread[1]
    warp_row, warp_column = lane_row // threads_per_warp[0], lane_column // threads_per_warp[1]
    lane = lane_row % threads_per_warp[0] * threads_per_warp[1] + lane_column % threads_per_warp[1]
    warp = warp_row % warps_per_cta[0] * warps_per_cta[1] + warp_column % warps_per_cta[1]
    return 32 * warp + lane


def lines_of_a_load(size_per_thread: tuple[int, int], threads_per_warp: tuple[int, int], columns: int) -> int:
    """How many lines of 128 bytes the 32 lanes of warp 0 touch, each loading its first element.

    The matrix has float32 numbers, `columns` in a row, rows after each other in memory from the start of a line.
    """
    lines = set()
    for lane in range(32):
        row = lane // threads_per_warp[1] * size_per_thread[0]
        column = lane % threads_per_warp[1] * size_per_thread[1]
        lines.add((row * columns + column) * 4 // 128)
    return len(lines)


def count_wgmma(m: int, n: int, k: int, bits: int, warps: int) -> int:
    """How many wgmma instructions each group of four warps issues for a product of an m × k and a k × n tile."""
    groups = warps // 4
    return m // (64 * groups) * -(-n // 256) * (k // (256 // bits))


def coalesced_layout(shape: np.ndarray, bits: int, warps: int) -> np.ndarray:
    """shape [2] of a row-major matrix -> size_per_thread, threads_per_warp and warps_per_cta, as [3, 2]."""
    _, columns = shape.astype(int)
    in_thread = min(128 // bits, columns)
    across = min(columns // in_thread, 32)
    down = 32 // across
    return np.array([[1, in_thread], [down, across], [warps, 1]], shape.dtype)
