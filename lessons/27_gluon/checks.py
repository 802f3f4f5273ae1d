"""The checks of lesson 27: layouts built up element by element, and pieces that are counted one by one."""

from __future__ import annotations

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case

LAYOUTS = {  # size_per_thread, threads_per_warp, warps_per_cta, tile
    "one row of threads": ((1, 1), (1, 32), (1, 1), (2, 32)),
    "four numbers a thread": ((1, 4), (8, 4), (1, 2), (8, 32)),
    "warps one below the other": ((1, 4), (4, 8), (4, 1), (16, 32)),
    "warps in a square": ((2, 4), (8, 4), (2, 2), (32, 32)),
    "a tile that is held twice over": ((1, 2), (2, 16), (2, 1), (16, 64)),
    "lanes down the columns": ((4, 1), (32, 1), (1, 4), (128, 8)),
    "eight warps": ((1, 4), (8, 4), (2, 4), (16, 64)),
}
LOADS = {  # size_per_thread, threads_per_warp, columns
    "side by side": ((1, 1), (1, 32), 128),
    "four numbers side by side": ((1, 4), (1, 32), 128),
    "one below the other": ((1, 1), (32, 1), 128),
    "a square of lanes": ((1, 4), (8, 4), 128),
    "narrow rows": ((1, 1), (4, 8), 8),
    "narrow rows, wide lanes": ((1, 4), (8, 4), 16),
    "two rows a lane": ((2, 2), (4, 8), 16),
    "half a line a row": ((1, 2), (4, 8), 16),
    "eight numbers a lane": ((1, 8), (2, 16), 256),
}
PRODUCTS = {  # m, n, k, bits, warps
    "one instruction": (64, 64, 16, 16, 4),
    "the product of the page": (64, 64, 64, 16, 4),
    "wide": (64, 256, 64, 16, 4),
    "wider than an instruction": (64, 512, 32, 16, 4),
    "two groups": (128, 128, 64, 16, 8),
    "one group, twice as high": (128, 128, 64, 16, 4),
    "8 bits": (128, 64, 128, 8, 8),
    "attention's scores": (192, 96, 80, 16, 12),
    "one and a half times 256 columns": (64, 384, 32, 16, 4),
}
SHAPES = {  # rows, columns, bits, warps
    "float32, wide": (64, 128, 32, 4),
    "float16, narrow": (128, 32, 16, 4),
    "float32, narrow": (256, 16, 32, 8),
    "float16, very wide": (16, 1024, 16, 2),
    "8 bits": (64, 128, 8, 4),
    "float32, one number a row": (512, 1, 32, 1),
    "float16, two numbers a row": (512, 2, 16, 4),
}


def layout_cases() -> list[Case]:
    found = []
    for seed, (name, (sizes, threads, warps, (height, width))) in enumerate(LAYOUTS.items()):
        rng = np.random.default_rng(seed)
        places = {"row": rng.integers(0, height, 40), "column": rng.integers(0, width, 40)}
        constants = {"size_per_thread": sizes, "threads_per_warp": threads, "warps_per_cta": warps}
        inputs = {key: value.astype(float) for key, value in places.items()}
        found.append(Case("thread_of", name, inputs, constants))
    return found


def number_cases(exercise: str, table: dict, names: tuple[str, ...]) -> list[Case]:
    return [
        Case(exercise, name, {}, dict(zip(names, numbers, strict=True))) for name, numbers in table.items()
    ]


def shape_cases() -> list[Case]:
    return [
        Case(
            "coalesced_layout",
            name,
            {"shape": np.array([rows, columns], float)},
            {"bits": bits, "warps": warps},
        )
        for name, (rows, columns, bits, warps) in SHAPES.items()
    ]


def held(size: int, threads: int, warps: int, place: int) -> tuple[int, int]:
    """Along one axis: lane and warp that hold an element, by dealing out until its turn comes."""
    at = 0
    while True:
        for warp in range(warps):
            for lane in range(threads):
                at += size
                if place < at:
                    return lane, warp


def thread_of(row, column, size_per_thread, threads_per_warp, warps_per_cta) -> np.ndarray:
    found = []
    for y, x in zip(row, column, strict=True):
        (lane_y, warp_y), (lane_x, warp_x) = (
            held(size_per_thread[axis], threads_per_warp[axis], warps_per_cta[axis], place)
            for axis, place in enumerate((y, x))
        )
        warp = np.ravel_multi_index((warp_y, warp_x), warps_per_cta)
        found.append(32 * warp + np.ravel_multi_index((lane_y, lane_x), threads_per_warp))
    return np.array(found, row.dtype)


def lines_of_a_load(size_per_thread, threads_per_warp, columns: int) -> int:
    bytes_touched = [
        4 * (y * size_per_thread[0] * columns + x * size_per_thread[1])
        for y in range(threads_per_warp[0])
        for x in range(threads_per_warp[1])
    ]
    return len(np.unique(np.array(bytes_touched) // 128))


def count_wgmma(m: int, n: int, k: int, bits: int, warps: int) -> int:
    """Piece by piece: 64 rows, at most 256 columns, 32 bytes along k; the rows are shared among the groups."""
    pieces = 0
    for _ in range(0, m, 64):
        for _ in range(0, n, 256):
            pieces += len(range(0, k * bits, 256))
    return pieces // (warps // 4)


def coalesced_layout(shape, bits: int, warps: int) -> np.ndarray:
    """The widest load first, then lanes along the row as far as it reaches, then down; warps below each other."""
    in_thread, across = 1, 1
    while 2 * in_thread * bits <= 128 and 2 * in_thread <= shape[1]:
        in_thread *= 2
    while across < 32 and 2 * across * in_thread <= shape[1]:
        across *= 2
    return np.array([[1, in_thread], [32 // across, across], [warps, 1]], shape.dtype)


EXERCISES = [
    Exercise(
        name="thread_of",
        task="which thread holds an element of a tile, in NumPy",
        cases=layout_cases,
        reference=thread_of,
        hints=(
            "One axis at a time: row // size_per_thread[0] counts lanes down, // threads_per_warp[0] again warps down.",
            "The remainder by threads_per_warp is the lane's place along an axis, the remainder by warps_per_cta the "
            "warp's.",
            "Lanes are numbered row by row within a warp, warps row by row among the warps.",
        ),
    ),
    Exercise(
        name="lines_of_a_load",
        task="how many lines of memory one load of a warp touches",
        cases=lambda: number_cases(
            "lines_of_a_load", LOADS, ("size_per_thread", "threads_per_warp", "columns")
        ),
        reference=lines_of_a_load,
        hints=(
            "Lane 5 of 8 × 4 lanes is in row 1, column 1 of the lanes. Where is its first element in the matrix?",
            "(row, column) is at byte 4 · (row · columns + column); divide by 128, and count each line once.",
        ),
    ),
    Exercise(
        name="count_wgmma",
        task="how many wgmma instructions a product of two tiles takes",
        cases=lambda: number_cases("count_wgmma", PRODUCTS, ("m", "n", "k", "bits", "warps")),
        reference=count_wgmma,
        hints=(
            "One instruction: 64 rows, up to 256 columns, 32 bytes of numbers along k. How many pieces are there?",
            "Each group of four warps has its share of the rows: m / groups of them.",
        ),
    ),
    Exercise(
        name="coalesced_layout",
        task="find the bug: a layout for reading a row-major matrix",
        cases=shape_cases,
        reference=coalesced_layout,
        find_the_bug=True,
        hints=(
            "Which elements do lanes 0 and 1 load? How many bytes are between them?",
            "First as many lanes along a row as it has room for, then the rest of the 32 down; the warps below.",
            "What does it return for a row of one number?",
        ),
    ),
]
