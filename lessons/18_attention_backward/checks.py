"""What the answers of lesson 18 are held to: definitions on the attention kernel's cases, and on odd grids."""

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam.lesson.scales import with_other_scales
from minisam_kernels.cases import Case, cases, expected, output_gradient

HEADS = {  # L, S, D of one head
    "one query, three keys": (1, 3, 16),
    "a tile": (16, 32, 16),
    "parts of tiles": (21, 50, 16),
    "many keys": (5, 70, 64),
}
GRIDS = {
    "one token": (1, 1),
    "a row": (1, 5),
    "a column": (7, 1),
    "a wide grid": (3, 5),
    "a tall grid": (4, 2),
}


def weight_cases() -> list[Case]:
    """The softmax kernel's cases, each followed by a gradient of its result."""
    found = []
    for case in cases("softmax"):
        inputs = {"weights": expected(case), "grad_weights": output_gradient(case)}
        found.append(Case("softmax_backward", case.name, inputs))
    return found


def with_what_forward_kept(case: Case) -> Case:
    """An attention case with its output, its log-sum-exp, and a gradient of its output."""
    scores = case.constants["scale"] * case.inputs["q"] @ case.inputs["k"].swapaxes(-1, -2)
    row_max = scores.max(axis=-1)
    lse = row_max + np.log(np.exp(scores - row_max[..., None]).sum(axis=-1))
    kept = {"out": expected(case), "lse": lse, "grad_out": output_gradient(case)}
    return Case("attention_backward", case.name, {**case.inputs, **kept}, case.constants)


def attention_cases() -> list[Case]:
    return [with_what_forward_kept(case) for case in with_other_scales(cases("attention"))]


def head_cases() -> list[Case]:
    """One head without batch and heads, small enough for the interpreter; and two rows of unusual scores."""
    found = []
    for seed, (name, (L, S, D)) in enumerate(HEADS.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {"q": normal((L, D)), "k": normal((S, D)), "v": normal((S, D))}
        found.append(Case("attention", name, inputs, {"scale": D**-0.5}))
    for name, each in (("huge scores", 25.0), ("scores far below zero", -40.0)):
        normal = np.random.default_rng(len(name)).standard_normal
        inputs = {
            "q": each + normal((9, 16)),
            "k": 1 + 0.3 * normal((40, 16)),
            "v": normal((40, 16)),
        }
        found.append(Case("attention", name, inputs, {"scale": 0.25}))
    ordinary, unusual = found[: len(HEADS)], found[len(HEADS) :]
    return [with_what_forward_kept(case) for case in (*with_other_scales(ordinary), *unusual)]


def grid_cases() -> list[Case]:
    found = []
    for seed, (name, (H, W)) in enumerate(GRIDS.items()):
        grad_scores = np.random.default_rng(seed).standard_normal((2, H * W, H * W))
        found.append(Case("bias_gradients", name, {"grad_scores": grad_scores}, {"H": H, "W": W}))
    return found


def table_cases() -> list[Case]:
    found = []
    for seed, (name, (H, W)) in enumerate(GRIDS.items()):
        normal, D = np.random.default_rng(seed).standard_normal, 4 + seed
        inputs = {"grad_scores": normal((H * W, H * W)), "k": normal((H * W, D))}
        inputs |= {"R_h": normal((H, H, D)), "R_w": normal((W, W, D))}
        found.append(Case("all_of_grad_q", name, inputs, {"scale": D**-0.5}))
    return with_other_scales(found)


def softmax_backward(weights: np.ndarray, grad_weights: np.ndarray) -> np.ndarray:
    """Row by row with the whole matrix of derivatives, dP_i / dS_j = P_i (1 if i = j, else 0) - P_i P_j."""
    return np.stack([dP @ (np.diag(P) - np.outer(P, P)) for P, dP in zip(weights, grad_weights, strict=True)])


def grad_scores(q, k, v, lse, grad_out, scale) -> tuple[np.ndarray, np.ndarray]:
    """P, and dS with its row sum over the keys instead of over the channels."""
    P = np.exp(scale * (q @ k.swapaxes(-1, -2)) - lse[..., None])
    dP = grad_out @ v.swapaxes(-1, -2)
    return P, P * (dP - (P * dP).sum(axis=-1, keepdims=True))


def attention_backward(q, k, v, out, lse, grad_out, scale) -> np.ndarray:
    P, dS = grad_scores(q, k, v, lse, grad_out, scale)
    grads = [scale * (dS @ k), scale * (dS.swapaxes(-1, -2) @ q), P.swapaxes(-1, -2) @ grad_out]
    return np.concatenate(grads, axis=-2)


def query_gradient(q, k, v, out, lse, grad_out, scale) -> np.ndarray:
    return scale * (grad_scores(q, k, v, lse, grad_out, scale)[1] @ k)


def bias_gradients(grad_scores: np.ndarray, H: int, W: int) -> np.ndarray:
    """Key token m sits in row m // W and column m % W: each of the H + W numbers is a sum over its keys."""
    row, column = np.divmod(np.arange(H * W), W)
    rows = [grad_scores[..., row == i].sum(axis=-1) for i in range(H)]
    columns = [grad_scores[..., column == j].sum(axis=-1) for j in range(W)]
    return np.stack(rows + columns, axis=-1)


def all_of_grad_q(grad_scores, k, R_h, R_w, scale) -> np.ndarray:
    """score[l, m] = q[l] · (scale k[m] + R_h[row(l), row(m)] + R_w[column(l), column(m)])."""
    H, W = len(R_h), len(R_w)
    row, column = np.divmod(np.arange(H * W), W)
    asked = scale * k[None] + R_h[row[:, None], row[None]] + R_w[column[:, None], column[None]]
    return np.einsum("lm,lmd->ld", grad_scores, asked)


EXERCISES = [
    Exercise(
        name="softmax_backward",
        task="the gradient of a row's scores from that of its weights, in NumPy",
        cases=weight_cases,
        reference=softmax_backward,
        hints=(
            "dS = P ∘ (dP − m): what is the mean m of dP, if key s counts P_s?",
            "The mean is one number for each row: sum over axis=-1 with keepdims=True.",
        ),
    ),
    Exercise(
        name="attention_backward",
        task="dQ, dK and dV in NumPy, from the log-sum-exp and the output",
        cases=attention_cases,
        reference=attention_backward,
        hints=(
            "P = exp(scale q kᵀ − lse): lse is one number a query, so give it an axis of size 1 for the keys.",
            "delta = (grad_out * out).sum over the channels, one number a query.",
            "dQ sums over the keys (dS k), dK and dV over the queries (dSᵀ q, Pᵀ dO). q was scaled, v was not.",
        ),
    ),
    Exercise(
        name="query_gradient",
        task="dQ as a Triton kernel: a program owns queries and walks over the keys",
        cases=head_cases,
        reference=query_gradient,
        framework="triton",
        hints=(
            "out and grad_out lie at the same addresses as q; lse has one number a row: lse_ptr + rows, mask=row_ok.",
            "delta is finished before the loop: tl.sum(grad_out * out, axis=1).",
            "In the loop: weights = tl.exp(scores - lse[:, None]); grad_weights = tl.dot(grad_out, tl.trans(v), …); "
            "grad_scores = weights * (grad_weights - delta[:, None]); grad_q += tl.dot(grad_scores, k, …).",
        ),
    ),
    Exercise(
        name="bias_gradients",
        task="the gradients of rel_h and rel_w in torch",
        cases=grid_cases,
        reference=bias_gradients,
        framework="torch",
        most_operations=30,
        hints=(
            "Give the keys their grid back: unflatten the last axis into (H, W).",
            "rel_h[l, i] was added to every key of grid row i: its gradient is the sum over the columns.",
        ),
    ),
    Exercise(
        name="all_of_grad_q",
        task="find the bug: everything that a query's gradient consists of",
        cases=table_cases,
        reference=all_of_grad_q,
        find_the_bug=True,
        hints=(
            "Write down score[l, m] and differentiate it by q[l].",
            "Which of the three terms of a score has the scale in it?",
        ),
    ),
]
