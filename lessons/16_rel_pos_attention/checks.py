"""What the answers of lesson 16 are held to: one grid row's equations, the kernel's own cases, weights with a bias."""

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam.lesson.scales import with_other_scales
from minisam_kernels.cases import Case, cases, make_case, reference
from minisam_kernels.reference.softmax import softmax

LOG2E = np.log2(np.e)
ROWS = {  # queries, columns of the grid, D, keys seen before, factors of q, rel_h and rel_w
    "the first row of the grid": (3, 5, 4, 0, 1, 1, 1),
    "a later row": (4, 3, 2, 6, 1, 1, 1),
    "no bias": (3, 4, 2, 5, 1, 0, 0),
    "one query, one column": (1, 1, 2, 3, 1, 1, 1),
    "rel_h decides": (5, 3, 2, 4, 1, 40, 1),
    "rel_w decides": (4, 6, 3, 4, 1, 1, 40),
    "huge scores": (3, 4, 8, 5, 60, 1, 1),
}
GRIDS = {  # queries, H, W, size of the bias
    "one token": (1, 1, 1, 1),
    "tables of zeros": (3, 4, 5, 0),
    "a wide grid": (4, 3, 7, 1),
    "a tall grid": (2, 9, 2, 1),
    "a large bias": (3, 5, 4, 20),
}


def row_cases() -> list[Case]:
    found = []
    for seed, (name, (M, W, D, seen, *factors)) in enumerate(ROWS.items()):
        normal = np.random.default_rng(seed).standard_normal
        earlier = LOG2E * factors[0] * normal((M, seen))
        state = summary(earlier, normal((seen, D)))
        keys = {"q": factors[0] * normal((M, D)), "k": normal((W, D)), "v": normal((W, D))}
        bias = {"rel_h": factors[1] * normal(M), "rel_w": factors[2] * normal((M, W))}
        found.append(Case("add_grid_row", name, {"state": state, **keys, **bias}, {"scale": D**-0.5}))
    return with_other_scales(found)


def summary(exponents: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The state after these keys, in one go, from scores in base 2."""
    row_max = exponents.max(axis=1, keepdims=True, initial=-np.inf)
    weights = np.exp2(exponents - row_max)
    return np.concatenate([row_max, weights.sum(axis=1, keepdims=True), weights @ v], axis=1)


def add_grid_row(
    state: np.ndarray,
    q: np.ndarray,
    k: np.ndarray,
    v: np.ndarray,
    rel_h: np.ndarray,
    rel_w: np.ndarray,
    scale: float,
) -> np.ndarray:
    """Whole scores first, then the base; old sums and the row's own, brought to the larger maximum."""
    row = summary((scale * q @ k.T + rel_h[:, None] + rel_w) * float(LOG2E), v)
    row_max = np.maximum(state[:, :1], row[:, :1])
    old, new = (sums[:, 1:] * np.exp2(sums[:, :1] - row_max) for sums in (state, row))
    return np.concatenate([row_max, old + new], axis=1)


PIECES = {  # heads, H, W, first query, grid row
    "a whole tile": (1, 4, 16, 0, 0),
    "the second block of queries": (1, 3, 16, 16, 2),
    "three heads": (3, 2, 16, 0, 1),
    "11 columns": (1, 2, 11, 0, 1),
    "one column": (2, 5, 1, 0, 4),
    "the last queries of two heads": (2, 3, 7, 16, 2),
    "5 columns, a whole last block of queries": (1, 16, 5, 64, 3),
    "one row of 130 columns": (1, 1, 130, 0, 0),
}


def piece_cases(name: str, table: str) -> list[Case]:
    found = []
    for seed, (case, (heads, H, W, start, i)) in enumerate(PIECES.items()):
        width, constants = (W, {"start": start}) if table == "rel_w" else (H, {"start": start, "i": i})
        bias = np.random.default_rng(seed).standard_normal((heads, H * W, width))
        found.append(Case(name, case, {table: bias}, constants))
    return found


def column_factors(rel_w: np.ndarray, start: int) -> np.ndarray:
    """Powers of e; queries that do not exist have a bias of 0, columns that do not exist a weight of 0."""
    heads, _, W = rel_w.shape
    found, own = np.zeros((heads, 16, max(16, 1 << (W - 1).bit_length()))), rel_w[:, start : start + 16]
    found[:, :, :W] = 1
    found[:, : own.shape[1], :W] = np.exp(own)
    return found


def row_biases(rel_h: np.ndarray, start: int, i: int) -> np.ndarray:
    """One column of the table; 0 for queries that do not exist."""
    own = rel_h[:, start : start + 16, i] * float(LOG2E)
    return np.pad(own, ((0, 0), (0, 16 - own.shape[1])))


def smallest_first() -> list[Case]:
    """The kernel's cases, by the number of steps that they take."""
    own = sorted(cases("rel_pos_attention"), key=lambda case: case.inputs["rel_h"].size)
    wide = make_case("rel_pos_attention", "a row of 130 columns", (1, 1, 1, 130, 16))
    deep = make_case("rel_pos_attention", "head dim 136", (1, 1, 2, 3, 136))
    return [*with_other_scales(own), wide, deep]


def weight_cases() -> list[Case]:
    found = []
    for seed, (name, (R, H, W, size)) in enumerate(GRIDS.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {
            "products": 4 * normal((R, H * W)),
            "rel_h": size * normal((R, H)),
            "rel_w": size * normal((R, W)),
        }
        found.append(Case("attention_weights", name, inputs, {"scale": 0.25}))
    return with_other_scales(found)


def attention_weights(products: np.ndarray, rel_h: np.ndarray, rel_w: np.ndarray, scale: float) -> np.ndarray:
    """Base e, and the bias as the outer sum that it is."""
    bias = (rel_h[:, :, None] + rel_w[:, None, :]).reshape(products.shape)
    return softmax(scale * products + bias)


EXERCISES = [
    Exercise(
        name="add_grid_row",
        task="one step of the online softmax in NumPy: one row of the grid, with its bias, in base 2",
        cases=row_cases,
        reference=add_grid_row,
        hints=(
            "scores = (q @ k.T) * (scale * LOG2E) + rel_w * LOG2E; rel_h[:, None] * LOG2E is not added to them.",
            "The row's largest whole score is scores.max(axis=1, keepdims=True) + rel_h[:, None] * LOG2E.",
            "The weights are np.exp2(scores - (new_max - rel_h[:, None] * LOG2E)).",
            "Old sums are brought to the new maximum as in lesson 15, with np.exp2.",
        ),
    ),
    Exercise(
        name="column_factors",
        task="rel_w of a block of queries in Triton: in base 2, and -inf where there is no column",
        cases=lambda: piece_cases("column_factors", "rel_w"),
        reference=column_factors,
        framework="triton",
        hints=(
            "Queries are start + tl.arange(0, BLOCK_M), columns tl.arange(0, BLOCK_K); both axes need a mask.",
            "The number of query l and column j of head h is (h * L + l) * W + j numbers after rel_w_ptr.",
            'Last of all: tl.where(column[None, :] < W, bias * LOG2E, float("-inf")).',
        ),
    ),
    Exercise(
        name="row_biases",
        task="rel_h of a block of queries for one row of the grid in Triton, in base 2",
        cases=lambda: piece_cases("row_biases", "rel_h"),
        reference=row_biases,
        framework="triton",
        hints=(
            "One number for each query: the address is a vector of BLOCK_M, without a second axis.",
            "That of query l of head h for grid row i is (h * L + l) * H + i numbers after rel_h_ptr.",
        ),
    ),
    Exercise(
        name="rel_pos_attention",
        task="attention with relative positions as one Triton kernel, one row of the grid at a time",
        cases=smallest_first,
        reference=reference("rel_pos_attention"),
        framework="triton",
        case_hints={
            "a row of 130 columns": "BLOCK_K is the power of two that holds W, whatever W is: 256 here.",
            "head dim 136": "BLOCK_D is the power of two that holds D, whatever D is: 256 here.",
        },
        hints=(
            "Start from lesson 15's kernel: the loop now runs over i in range(0, H), the tile is W keys wide.",
            "Key column j of grid row i is token i * W + j: k starts at k_ptr + (head * L + i * W + columns) * D.",
            "Before the loop: load_column_bias of these queries. In the loop: load_row_bias for grid row i.",
            "scores = tl.dot(q, tl.trans(k), ...) * (scale * LOG2E) + column_bias; keys need no other mask.",
            "new_max = maximum(row_max, max(scores) + row_bias); weights = exp2(scores - (new_max - row_bias)).",
        ),
    ),
    Exercise(
        name="attention_weights",
        task="find the bug: weights with a bias, in base 2",
        cases=weight_cases,
        reference=attention_weights,
        framework="triton",
        find_the_bug=True,
        hints=(
            "It is right where both tables are zero. What is not done to the bias that is done to the products?",
            "softmax(x) is 2^(x · log2 e), normalised. What is x here, all of it?",
        ),
    ),
]
