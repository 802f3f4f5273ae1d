"""What the answers of lesson 4 are held to: the references and cases of the project's own kernels."""

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam.lesson.scales import with_other_scales
from minisam_kernels.cases import Case, cases
from minisam_kernels.reference import rel_pos_attention as reference

TABLES = {  # rows of the table, D, size
    "one place": (1, 3, 1),
    "five places": (9, 4, 5),
    "SAM's window": (27, 2, 14),
    "made for a larger grid": (13, 3, 4),
    "made for a smaller grid": (5, 2, 6),
    "SAM's table on an image of half the side": (127, 2, 32),
}
GRIDS = {  # B, N, H, W, D
    "one token": (1, 1, 1, 1, 4),
    "heads of one channel": (1, 2, 3, 3, 1),
    "tables of zeros": (1, 2, 3, 4, 8),
    "a wide grid": (1, 2, 3, 5, 8),
    "a tall grid, two images": (2, 1, 5, 2, 16),
    "a square grid": (1, 1, 4, 4, 24),
}


def table_cases() -> list[Case]:
    found = []
    for seed, (name, (R, D, size)) in enumerate(TABLES.items()):
        table = np.random.default_rng(seed).standard_normal((R, D))
        found.append(Case("relative_position_table", name, {"table": table}, {"size": size}))
    return found


def relative_position_table(table: np.ndarray, size: int) -> np.ndarray:
    return reference.relative_position_table(table, size, size)


def grid_cases() -> list[Case]:
    found = []
    for seed, (name, (B, N, H, W, D)) in enumerate(GRIDS.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {key: normal((B, N, H * W, D)) for key in ("q", "k", "v")}
        size = 0.0 if name == "tables of zeros" else 0.5
        inputs |= {"rel_pos_h": size * normal((2 * H - 1, D)), "rel_pos_w": size * normal((2 * W - 1, D))}
        found.append(Case("attend_on_grid", name, inputs, {"scale": D**-0.5}))
    return [*found[:4], *with_other_scales(found[4:])]  # heads of one channel keep their scale of 1


def attend_on_grid(
    q: np.ndarray, k: np.ndarray, v: np.ndarray, rel_pos_h: np.ndarray, rel_pos_w: np.ndarray, scale: float
) -> np.ndarray:
    """The reference; the tables' lengths say how large the grid is."""
    grid = (len(rel_pos_h) + 1) // 2, (len(rel_pos_w) + 1) // 2
    rel_h, rel_w = reference.decomposed_rel_pos(q, rel_pos_h, rel_pos_w, grid)
    return reference.rel_pos_attention(q, k, v, rel_h, rel_w, scale)


EXERCISES = [
    Exercise(
        name="relative_position_table",
        task="the table's row for every pair of places along one side, in NumPy",
        cases=table_cases,
        reference=relative_position_table,
        hints=(
            "Offsets i - j go from -(size - 1) to size - 1, rows from 0: row i - j + size - 1.",
            "An array of indices [size, size] picks rows: table[index] is [size, size, D].",
            "A table without 2 · size − 1 rows comes first: np.interp for each channel, at the places "
            "(r + 1/2) · R / (2 · size − 1) − 1/2, then .astype(table.dtype).",
        ),
    ),
    Exercise(
        name="rel_pos_attention",
        task="attention with the two position terms, in torch",
        cases=lambda: with_other_scales(cases("rel_pos_attention")),
        reference=reference.rel_pos_attention,
        framework="torch",
        differentiable=("q", "k", "v", "rel_h", "rel_w"),
        hints=(
            "Key token m sits in row m // W and column m % W: its bias is rel_h of that row plus rel_w of that column.",
            "rel_h[..., :, None] + rel_w[..., None, :] is [B, N, H·W, H, W]; flatten its last two axes.",
            "Only q kᵀ is scaled. The bias is added before the softmax.",
        ),
    ),
    Exercise(
        name="attend_on_grid",
        task="find the bug: the scale is applied to the queries, once and for all",
        cases=grid_cases,
        reference=attend_on_grid,
        framework="torch",
        differentiable=("q", "k", "v"),
        find_the_bug=True,
        hints=(
            "With tables of zeros it is right, and with heads of one channel. What is the scale then?",
            "Where else does q go after it has been scaled?",
        ),
    ),
]
