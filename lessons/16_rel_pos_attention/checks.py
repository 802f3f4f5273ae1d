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
            "Before the loop: rel_w of these queries, times LOG2E, and -inf where columns >= W. That is the mask.",
            "In the loop: rel_h_ptr + (head * L + rows) * H + i, one number a query, times LOG2E.",
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
