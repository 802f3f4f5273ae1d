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


PIECES = {  # heads, rows, D, first row
    "a whole tile": (1, 16, 16, 0),
    "the second tile": (1, 32, 16, 16),
    "three heads": (3, 16, 16, 0),
    "fewer rows than a tile": (2, 5, 16, 0),
    "24 channels": (1, 16, 24, 0),
    "a short last tile of three heads": (3, 21, 24, 16),
    "one row, one channel": (2, 1, 1, 0),
    "136 channels": (1, 3, 136, 0),
}
TILES_OF_KEYS = {  # keys, D, first key, size of the scores
    "a whole tile": (16, 16, 0, 1),
    "the second tile": (32, 32, 16, 1),
    "a short tile": (11, 32, 0, 1),
    "a short last tile": (21, 16, 16, 1),
    "one key": (1, 16, 0, 1),
    "a short tile of negative scores": (5, 16, 0, -30),
}


def piece_cases() -> list[Case]:
    found = []
    for seed, (name, (heads, rows, D, start)) in enumerate(PIECES.items()):
        x = np.random.default_rng(seed).standard_normal((heads, rows, D))
        found.append(Case("read_tile", name, {"x": x}, {"start": start}))
    return found


def read_tile(x: np.ndarray, start: int) -> np.ndarray:
    """The rows that there are, in the corner of zeros."""
    heads, _, D = x.shape
    found, own = np.zeros((heads, 16, max(16, 1 << (D - 1).bit_length()))), x[:, start : start + 16]
    found[:, : own.shape[1], :D] = own
    return found


def weight_cases() -> list[Case]:
    found = []
    for seed, (name, (S, D, start, size)) in enumerate(TILES_OF_KEYS.items()):
        normal = np.random.default_rng(seed).standard_normal
        q, k = normal((16, D)), normal((S, D))
        if size < 0:
            q, k = abs(q), size * abs(k)
        found.append(Case("tile_weights", name, {"q": q, "k": k}, {"scale": 0.3, "start": start}))
    return with_other_scales(found)


def tile_weights(q: np.ndarray, k: np.ndarray, scale: float, start: int) -> np.ndarray:
    """The keys that there are have weights; the rest of the tile is 0."""
    scores = scale * q @ k[start : start + 16].T
    found = np.zeros((16, 16))
    found[:, : scores.shape[1]] = np.exp(scores - scores.max(axis=1, keepdims=True))
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
        name="read_tile",
        task="load a tile of one head in Triton",
        cases=piece_cases,
        reference=read_tile,
        framework="triton",
        hints=(
            "The rows are start + tl.arange(0, BLOCK), the channels tl.arange(0, BLOCK_D).",
            "Row r of head h starts (h * rows + r) * D numbers after x_ptr; channels are added to that.",
            "Two masks, stretched and joined: (row < rows)[:, None] & (dim < D)[None, :]; other=0.0.",
        ),
    ),
    Exercise(
        name="tile_weights",
        task="the scores of a tile in Triton, -inf for keys that do not exist",
        cases=weight_cases,
        reference=tile_weights,
        framework="triton",
        hints=(
            'tl.dot(q, tl.trans(k), input_precision="ieee") has the products of all queries and keys of the tile.',
            "Lane n of the tile is key start + n, and it exists if that is less than S.",
            'tl.where(exists[None, :], scores, float("-inf")) keeps the scores of keys that exist.',
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
            "q = load_tile(q_ptr, head, tl.program_id(0) * BLOCK_M, L, D, BLOCK_M, BLOCK_D), before the loop.",
            "In the loop: k and v by load_tile from `start` on, scores by score_tile(q, k, start, S, scale, BLOCK_K).",
            "Before the loop: row_max of -inf [BLOCK_M], row_sum of zeros, acc of zeros [BLOCK_M, BLOCK_D], float32.",
            "The step is that of add_tile: new maximum, rescale, weights, both sums, in this order.",
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
