"""The checks of lesson 25: products written out element by element, and windows padded before the projection."""

from collections.abc import Sequence

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case
from minisam_kernels.reference.softmax import softmax

SIZES = {  # tokens N, C, D of a part, parts of the layer, adapted parts, rank, scale
    "v, then q": (4, 7, 5, 3, (2, 0), 3, 0.7),
    "q and v": (6, 8, 8, 3, (0, 2), 2, 1.0),
    "a layer of one part, rank 1": (3, 5, 4, 1, (0,), 1, 1.0),
    "k alone": (5, 7, 9, 3, (1,), 3, 0.25),
    "D = 136": (4, 24, 136, 3, (0, 2), 4, 2.0),
    "a rank above D / 2": (9, 11, 6, 3, (0, 1, 2), 5, 0.75),
    "one token, a negative scale": (1, 13, 7, 3, (2, 0), 3, -1.5),
    "the last of four parts": (17, 3, 5, 4, (3, 1), 2, 3.0),
    "a scale of zero": (2, 6, 5, 3, (0, 2), 1, 0.0),
}
GRADIENTS = {  # tokens N, C, D, rank, scale, size of B
    "seven tokens": (7, 6, 5, 2, 0.7, 1.0),
    "the first step: B = 0": (6, 8, 7, 4, 2.0, 0.0),
    "one token, rank 1": (1, 3, 2, 1, 1.0, 1.0),
    "C = D": (10, 12, 12, 3, 1.5, 1.0),
    "D = 136": (9, 11, 136, 4, 0.25, 1.0),
    "a rank above C and D": (4, 3, 5, 6, -2.0, 1.0),
}
GRIDS = {  # B, H, W, C, window, rank, scale
    "3 × 3 tokens, windows of 3": (1, 3, 3, 4, 3, 2, 0.7),
    "4 × 6 tokens, windows of 2": (2, 4, 6, 8, 2, 2, 0.5),
    "4 × 7 tokens, windows of 4": (1, 4, 7, 6, 4, 2, 1.0),
    "5 × 6 tokens, windows of 3": (1, 5, 6, 5, 3, 3, 2.0),
    "7 × 5 tokens, windows of 4": (2, 7, 5, 12, 4, 4, 1.5),
    "2 × 3 tokens, windows of 5": (1, 2, 3, 7, 5, 5, 0.25),
    "20 × 17 tokens, windows of 14": (1, 20, 17, 16, 14, 4, 1.0),
}


def layer_cases(name: str) -> list[Case]:
    """Cases of a layer of several parts; `lora_merge` has neither tokens nor bias."""
    found = []
    for seed, (size, (N, C, D, of, parts, rank, scale)) in enumerate(SIZES.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {
            "x": normal((N, C)),
            "weight": normal((of * D, C)) * C**-0.5,
            "bias": normal(of * D),
            "a": normal((len(parts), rank, C)) * C**-0.5,
            "b": normal((len(parts), D, rank)),
        }
        if name == "lora_merge":
            inputs = {key: inputs[key] for key in ("weight", "a", "b")}
        found.append(Case(name, size, inputs, {"scale": scale, "parts": parts}))
    return found


def gradient_cases() -> list[Case]:
    found = []
    for seed, (size, (N, C, D, rank, scale, of_b)) in enumerate(GRADIENTS.items()):
        normal = np.random.default_rng(100 + seed).standard_normal
        inputs = {"x": normal((N, C)), "grad_y": normal((N, D))}
        inputs |= {"a": normal((rank, C)) * C**-0.5, "b": of_b * normal((D, rank))}
        found.append(Case("lora_gradients", size, inputs, {"scale": scale}))
    return found


def window_cases() -> list[Case]:
    found = []
    for seed, (size, (B, H, W, C, window, rank, scale)) in enumerate(GRIDS.items()):
        normal = np.random.default_rng(200 + seed).standard_normal
        inputs = {
            "x": normal((B, H, W, C)),
            "weight": normal((3 * C, C)) * C**-0.5,
            "bias": normal(3 * C),
            "a": normal((2, rank, C)) * C**-0.5,
            "b": normal((2, C, rank)) * rank**-0.5,
        }
        found.append(Case("adapted_attention", size, inputs, {"scale": scale, "window_size": window}))
    return found


def lora_merge(weight, a, b, scale: float, parts: Sequence[int]) -> np.ndarray:
    """The update of row d of part p and column c: scale · Σ_r b[d, r] · a[r, c]."""
    rows = weight.reshape(-1, b.shape[1], weight.shape[1]).copy()
    for number, part in enumerate(parts):
        rows[part] = rows[part] + scale * np.einsum("dr,rc->dc", b[number], a[number])
    return rows.reshape(weight.shape)


def lora_forward(x, weight, bias, a, b, scale: float, parts: Sequence[int]) -> np.ndarray:
    return np.einsum("nc,ec->ne", x, lora_merge(weight, a, b, scale, parts)) + bias


def lora_gradients(x, grad_y, a, b, scale: float) -> np.ndarray:
    """From y[n, d] = … + scale · Σ_r b[d, r] Σ_c a[r, c] x[n, c], one derivative per number."""
    grad_a = scale * np.einsum("nd,dr,nc->rc", grad_y, b, x)
    grad_b = scale * np.einsum("nd,rc,nc->rd", grad_y, a, x)
    return np.concatenate([grad_a, grad_b], axis=1)


def adapted_attention(x, weight, bias, a, b, scale: float, window_size: int) -> np.ndarray:
    """SAM's own order: pad with zeros, then project everything by the merged weight, one window after the other."""
    B, H, W, C = x.shape
    S = window_size
    padded = np.zeros((B, -(-H // S) * S, -(-W // S) * S, C), x.dtype)
    padded[:, :H, :W] = x
    merged, out = lora_merge(weight, a, b, scale, (0, 2)), np.zeros_like(padded)
    for top in range(0, padded.shape[1], S):
        for left in range(0, padded.shape[2], S):
            place = np.s_[:, top : top + S, left : left + S]
            q, k, v = np.split(padded[place].reshape(B, S * S, C) @ merged.T + bias, 3, axis=-1)
            out[place] = (softmax(q @ k.swapaxes(1, 2) * C**-0.5) @ v).reshape(B, S, S, C)
    return out[:, :H, :W]


EXERCISES = [
    Exercise(
        name="lora_forward",
        task="a linear layer with low-rank updates of some of its parts, in NumPy",
        cases=lambda: layer_cases("lora_forward"),
        reference=lora_forward,
        hints=(
            "The frozen layer first: x Wᵀ + bias, all parts. Then add to the channels of each adapted part.",
            "D is b.shape[1]. Part p has the channels D·p to D·(p + 1).",
            "A token x [C] becomes A x [r], and then B (A x) [D]. For N tokens as rows: x @ A.T, then @ B.T.",
        ),
    ),
    Exercise(
        name="lora_merge",
        task="merge the updates into the weight, in NumPy",
        cases=lambda: layer_cases("lora_merge"),
        reference=lora_merge,
        hints=(
            "A new weight: a copy of the old one, with scale · B A added to the rows of each adapted part.",
            "B [D, r] @ A [r, C] is [D, C]: the rows D·p to D·(p + 1) of the weight.",
        ),
    ),
    Exercise(
        name="lora_gradients",
        task="the gradients of A and B, in NumPy",
        cases=gradient_cases,
        reference=lora_gradients,
        hints=(
            "Two products in a row: h = A x, then y = … + scale · B h. First go back through B, then through A.",
            "dL/dB: for each token, scale · (dL/dy) times h, as an outer product [D, r]; summed over the tokens.",
            "dL/dh = scale · Bᵀ dL/dy, [r]. dL/dA is the sum over the tokens of dL/dh times x, [r, C].",
            "np.concatenate([grad_a, grad_b.T], axis=1): [r, C] and [r, D] side by side.",
        ),
    ),
    Exercise(
        name="adapted_attention",
        task="find the bug: window attention with an adapted projection",
        cases=window_cases,
        reference=adapted_attention,
        framework="torch",
        differentiable=("x", "a", "b"),
        find_the_bug=True,
        hints=(
            "Which cases pass, and which fail? What do the tokens with wrong values have in common?",
            "Print the q, k and v of a token outside the grid, with the frozen layer and with the adapted one.",
            "attend_in_windows uses more of its layer than the call. Does the adapted layer answer as the frozen one?",
        ),
    ),
]
