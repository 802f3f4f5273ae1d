"""What the answers of lesson 15 are held to: one step's equations, the kernel's own cases, and long rows."""

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam.lesson.scales import with_other_scales
from minisam_kernels.cases import Case, cases, make_case, reference
from minisam_kernels.reference.softmax import softmax

TILES = {  # queries, keys seen before, keys of the tile, D, what is added to the scores seen and to the new ones
    "the first tile": (3, 0, 4, 2, 0, 0),
    "scores as before": (5, 6, 4, 3, 0, 0),
    "one query, a tile of one key": (1, 4, 1, 2, 0, 0),
    "the tile has the largest score": (3, 5, 7, 4, 0, 5),
    "the tile has nothing large": (3, 5, 7, 4, 5, 0),
    "scores around 300": (4, 9, 3, 2, 300, 300),
    "scores around -300": (4, 9, 3, 2, -300, -300),
    "the tile is higher by 200": (2, 3, 5, 3, 0, 200),
    "the tile is lower by 200": (2, 3, 5, 3, 200, 0),
}
ROWS = {  # rows, columns, the difference between first and last number beside the noise
    "one block": (2, 50, 0),
    "three blocks": (3, 150, 0),
    "a whole number of blocks": (2, 128, 0),
    "rising rows": (2, 200, 400),
    "falling rows": (2, 200, -400),
}


def summary(scores: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The state after these keys, in one go; without keys the maximum is -inf and the sums are 0."""
    row_max = scores.max(axis=1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - row_max)
    return np.concatenate([row_max, weights.sum(axis=1, keepdims=True), weights @ v], axis=1)


def tile_cases() -> list[Case]:
    found = []
    for seed, (name, (M, seen, K, D, before, now)) in enumerate(TILES.items()):
        normal = np.random.default_rng(seed).standard_normal
        state = summary(before + normal((M, seen)), normal((seen, D)))
        inputs = {"state": state, "scores": now + normal((M, K)), "v": normal((K, D))}
        found.append(Case("add_tile", name, inputs))
    return found


def add_tile(state: np.ndarray, scores: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Old sums and the tile's own sums, both brought to the larger of the two maxima."""
    tile = summary(scores, v)
    row_max = np.maximum(state[:, :1], tile[:, :1])
    old, new = (sums[:, 1:] * np.exp(sums[:, :1] - row_max) for sums in (state, tile))
    return np.concatenate([row_max, old + new], axis=1)


def row_cases() -> list[Case]:
    found = []
    for seed, (name, (R, N, slope)) in enumerate(ROWS.items()):
        x = np.random.default_rng(seed).standard_normal((R, N)) + slope * np.linspace(-0.5, 0.5, N)
        found.append(Case("wide_softmax", name, {"x": x}))
    return found


def attention_cases() -> list[Case]:
    """The kernel's own cases, with other scales, and a head dim beyond 128."""
    return [
        *with_other_scales(cases("attention")),
        make_case("attention", "head dim 136", (1, 1, 3, 5, 136)),
    ]


EXERCISES = [
    Exercise(
        name="add_tile",
        task="one step of the online softmax in NumPy: a state, a tile of keys, a new state",
        cases=tile_cases,
        reference=add_tile,
        hints=(
            "The new maximum first: np.maximum of the old one and of the tile's, row by row, keepdims=True.",
            "Old sums were made with the old maximum; exp(old maximum - new maximum) brings them to the new one.",
            "The tile's weights are exp(scores - new maximum); they go into both sums, the second time with @ v.",
            "np.concatenate([maximum, sum, weighted sum], axis=1) packs the state again.",
        ),
    ),
    Exercise(
        name="flash_attention",
        task="attention as one Triton kernel, key tile by key tile",
        cases=attention_cases,
        reference=reference("attention"),
        framework="triton",
        case_hints={"head dim 136": "BLOCK_D is the power of two that holds D, whatever D is: 256 here."},
        hints=(
            "Query l of head h starts at q_ptr + (h * L + l) * D, key s of it at k_ptr + (h * S + s) * D.",
            "dims = tl.arange(0, BLOCK_D) with BLOCK_D a power of two of 16 or more; mask dims < D in every load.",
            "Before the loop: row_max of -inf [BLOCK_M], row_sum of zeros, acc of zeros [BLOCK_M, BLOCK_D], float32.",
            'Keys beyond S get the score -inf: tl.where((columns < S)[None, :], scores, float("-inf")).',
            "The launcher: grid (triton.cdiv(L, BLOCK_M), B * N), a program for each block of queries and each head.",
        ),
    ),
    Exercise(
        name="wide_softmax",
        task="find the bug: softmax of rows that are longer than a block",
        cases=row_cases,
        reference=softmax,
        framework="triton",
        find_the_bug=True,
        hints=(
            "Write down what row_max is after the first, the second and the third block of a falling row.",
            "What does exp(row_max - new_max) become when the new block lies 100 lower than the one before?",
        ),
    ),
]
