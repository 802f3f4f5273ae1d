"""What the answers of lesson 20 are held to: multi-head attention as it is defined, and cross-attention's own cases."""

from collections.abc import Mapping

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case, cases
from minisam_kernels.reference.attention import multi_head_attention
from minisam_kernels.reference.softmax import softmax

SIZES = {  # B, T, S, C, inner width, heads
    "one head": (1, 2, 5, 4, 4, 1),
    "two heads": (1, 3, 6, 4, 6, 2),
    "half the width": (2, 7, 31, 16, 8, 4),
    "one token": (1, 1, 40, 12, 6, 3),
    "more tokens than channels of a head": (1, 9, 25, 8, 8, 4),
    "SAM's width": (1, 7, 64, 256, 128, 8),
}
TOWERS = {  # parts, queries, D, what is added to the scores of each part
    "two parts": (2, 3, 4, (0, 0)),
    "the second part lies higher by 200": (2, 3, 4, (0, 200)),
    "the second part lies lower by 200": (2, 3, 4, (0, -200)),
    "all scores around -300": (3, 2, 5, (-300, -301, -299)),
}
NAMES = ("q_proj", "k_proj", "v_proj", "out_proj")
KEYS_PER_PART = 48


def attention_cases(name: str) -> list[Case]:
    found = []
    for seed, (size, (B, T, S, C, inner, num_heads)) in enumerate(SIZES.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {
            "x": normal((B, T, C)),
            "p": normal((B, T, C)),
            "y": normal((B, S, C)),
            "e": normal((B, S, C)),
        }
        for part in NAMES:
            rows, columns = (C, inner) if part == "out_proj" else (inner, C)
            inputs[f"weights.{part}.weight"] = normal((rows, columns)) * columns**-0.5
            inputs[f"weights.{part}.bias"] = normal(rows)
        found.append(Case(name, size, inputs, {"num_heads": num_heads}))
    return found


def key_cases() -> list[Case]:
    found = []
    for seed, (size, (B, T, _, C, inner, num_heads)) in enumerate(SIZES.items()):
        normal = np.random.default_rng(50 + seed).standard_normal
        inputs = {"q": normal((B, T, inner)), "w_k": normal((inner, C)) * C**-0.5}
        found.append(Case("absorb_keys", size, inputs, {"num_heads": num_heads}))
    return found


def absorb_keys(q: np.ndarray, w_k: np.ndarray, num_heads: int) -> np.ndarray:
    """Scores of the C unit vectors, projected like any tokens: the score of unit vector c is a[c]."""
    units = np.eye(w_k.shape[1], dtype=q.dtype) @ w_k.T
    q_bntd = q.reshape(*q.shape[:2], num_heads, -1).swapaxes(1, 2)
    k_ncd = units.reshape(len(units), num_heads, -1).swapaxes(0, 1)
    return q_bntd @ k_ncd.swapaxes(1, 2) * q_bntd.shape[-1] ** -0.5


def tokens_ask(x, p, y, e, weights: Mapping[str, np.ndarray], num_heads: int) -> np.ndarray:
    return multi_head_attention(x + p, y + e, y, weights, num_heads)


def image_asks(x, p, y, e, weights: Mapping[str, np.ndarray], num_heads: int) -> np.ndarray:
    return multi_head_attention(y + e, x + p, x, weights, num_heads)


def parts_of(scores: np.ndarray, v: np.ndarray) -> dict[str, np.ndarray]:
    """scores [P, L, K] and values [P, L, K, D] of P parts -> each part's maxima, sums, and weighted sums."""
    row_max = scores.max(axis=2)
    weights = np.exp(scores - row_max[:, :, None])
    return {"row_max": row_max, "row_sum": weights.sum(axis=2), "acc": (weights[:, :, None] @ v)[:, :, 0]}


def parts_of_case(case: Case) -> dict[str, np.ndarray]:
    """The parts of a case of cross_attention; the queries of all heads and images one below the other."""
    q, k, v = case.inputs.values()
    scores = case.constants["scale"] * q @ k.swapaxes(2, 3)
    found = []
    for start in range(0, k.shape[2], KEYS_PER_PART):
        part = scores[..., start : start + KEYS_PER_PART]
        rows = part.reshape(1, -1, part.shape[-1])
        values = v[:, :, None, start : start + KEYS_PER_PART].repeat(q.shape[2], axis=2)
        found.append(parts_of(rows, values.reshape(*rows.shape, -1)))
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def part_cases() -> list[Case]:
    found = [Case("join_parts", case.name, parts_of_case(case)) for case in cases("cross_attention")]
    for seed, (name, (P, L, D, shifts)) in enumerate(TOWERS.items()):
        normal = np.random.default_rng(seed).standard_normal
        scores = normal((P, L, 6)) + np.array(shifts)[:, None, None]
        found.append(Case("join_parts", name, parts_of(scores, normal((P, L, 6, D)))))
    normal = np.random.default_rng(99).standard_normal
    apart = normal((2, 2, 6)) + np.array([0, 300])[None, :, None]
    found.append(Case("join_parts", "queries 300 apart", parts_of(apart, normal((2, 2, 6, 3)))))
    return found


def join_parts(row_max: np.ndarray, row_sum: np.ndarray, acc: np.ndarray) -> np.ndarray:
    """Every part's own attention, weighted by the part's share of the whole sum."""
    shares = softmax((row_max + np.log(row_sum)).T).T  # [P, L]
    return (shares[:, :, None] * (acc / row_sum[:, :, None])).sum(axis=0)


EXERCISES = [
    Exercise(
        name="absorb_keys",
        task="carry the projection of the keys over to the queries, in NumPy",
        cases=key_cases,
        reference=absorb_keys,
        hints=(
            "Head n of q is its channels n·D to (n+1)·D; head n of W_k is its rows n·D to (n+1)·D.",
            "q: reshape to [B, T, N, D], then exchange axes 1 and 2. W_k: reshape to [N, D, C].",
            "[B, N, T, D] @ [N, D, C] is [B, N, T, C]. Then the scale, D ** -0.5, once.",
        ),
    ),
    Exercise(
        name="tokens_ask",
        task="tokens ask an image that is never projected, in torch",
        cases=lambda: attention_cases("tokens_ask"),
        reference=tokens_ask,
        framework="torch",
        differentiable=("x", "y"),
        unprojected=("y", "e"),
        hints=(
            "Rows as in absorb_keys, their softmax over the keys y + e, the average of y alone, W_v, and b_v once.",
            "(y + e)[:, None] is [B, 1, S, C]: it meets the rows [B, N, T, C] of every head.",
            "W_v of a head is [D, C], so seen [B, N, T, C] goes through its transpose, [C, D].",
            "Put the heads together first, transpose(1, 2).flatten(2); then b_v once, then out_proj.",
        ),
    ),
    Exercise(
        name="join_parts",
        task="join what P programs know of their parts of the keys, in NumPy",
        cases=part_cases,
        reference=join_parts,
        hints=(
            "Each query has one maximum over all parts: row_max.max(axis=0).",
            "A part's sums were made with its own maximum. exp(its own - the common one) brings both to the common.",
            "Add up over the parts, axis 0, both the sums and the weighted values. Divide once, at the end.",
        ),
    ),
    Exercise(
        name="image_asks",
        task="find the bug: the image asks the tokens",
        cases=lambda: attention_cases("image_asks"),
        reference=image_asks,
        framework="torch",
        differentiable=("x", "y"),
        find_the_bug=True,
        hints=(
            "Write out (W_q y + b_q) · k, where k is now of a token. Which terms are in the code?",
            "Over which axis does the softmax run? What is the same for all of that axis may be left out, no more.",
        ),
    ),
]
