"""What the answers of lesson 8 are held to: the project's references, on sets of tokens of any two sizes."""

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case
from minisam_kernels.reference.attention import multi_head_attention
from minisam_kernels.reference.layer_norm import layer_norm
from minisam_kernels.reference.two_way_transformer import two_way_block as reference_block

HEADS = {  # B, L, S, C, inner width, heads
    "one head": (1, 2, 3, 4, 4, 1),
    "two heads": (1, 3, 5, 4, 6, 2),
    "few ask many, half the width": (2, 7, 31, 16, 8, 4),
    "many ask few": (1, 25, 3, 12, 6, 3),
    "as wide as the tokens": (2, 5, 5, 8, 8, 8),
}
BLOCKS = {  # B, T, S, C, hidden, heads, first
    "a later block": (1, 3, 6, 8, 10, 2, 0),
    "the first block": (1, 3, 6, 8, 10, 2, 1),
    "later, two prompts": (2, 4, 9, 12, 7, 3, 0),
    "first, one head": (2, 7, 5, 6, 16, 1, 1),
    "later, one token": (1, 1, 16, 8, 12, 4, 0),
}
NAMES = ("q_proj", "k_proj", "v_proj", "out_proj")


def head_cases() -> list[Case]:
    cases = []
    for seed, (name, (B, L, S, C, inner, num_heads)) in enumerate(HEADS.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {"q": normal((B, L, C)), "k": normal((B, S, C)), "v": normal((B, S, C))}
        inputs |= {f"w_{part}": normal((inner, C)) * C**-0.5 for part in "qkv"}
        inputs["w_out"] = normal((C, inner)) * inner**-0.5
        cases.append(Case("multi_head", name, inputs, {"num_heads": num_heads}))
    return cases


def token_arrays(seed: int, B: int, T: int, S: int, C: int) -> dict[str, np.ndarray]:
    normal = np.random.default_rng(seed).standard_normal
    return {"x": normal((B, T, C)), "y": normal((B, S, C)), "p": normal((B, T, C)), "e": normal((B, S, C))}


def block_cases() -> list[Case]:
    cases = []
    for seed, (name, (B, T, S, C, hidden, num_heads, first)) in enumerate(BLOCKS.items()):
        normal = np.random.default_rng(100 + seed).standard_normal
        inputs = token_arrays(seed, B, T, S, C)
        inputs |= {part: normal((4, C, C)) * C**-0.5 for part in ("among_tokens", "tokens_to_image")}
        inputs |= {"w_1": normal((hidden, C)) * C**-0.5, "w_2": normal((C, hidden)) * hidden**-0.5}
        inputs["image_to_tokens"] = normal((4, C, C)) * C**-0.5
        cases.append(Case("two_way_block", name, inputs, {"num_heads": num_heads, "first": first}))
    return cases


def image_cases() -> list[Case]:
    cases = []
    for seed, (name, (B, T, S, C, _, num_heads, _)) in enumerate(BLOCKS.items()):
        w = np.random.default_rng(200 + seed).standard_normal((4, C, C)) * C**-0.5
        cases.append(
            Case("image_asks", name, {**token_arrays(seed, B, T, S, C), "w": w}, {"num_heads": num_heads})
        )
    return cases


def without_biases(matrices: np.ndarray | tuple[np.ndarray, ...], prefix: str = "") -> dict[str, np.ndarray]:
    """Queries', keys', values' and output matrix under the names of SAM's state dict, with biases of zero."""
    named = dict(zip(NAMES, matrices, strict=True))
    weights = {f"{prefix}{name}.weight": matrix for name, matrix in named.items()}
    return weights | {f"{prefix}{name}.bias": 0 * matrix[:, 0] for name, matrix in named.items()}


def multi_head(q, k, v, w_q, w_k, w_v, w_out, num_heads: int) -> np.ndarray:
    return multi_head_attention(q, k, v, without_biases((w_q, w_k, w_v, w_out)), num_heads)


def two_way_block(
    x, y, p, e, among_tokens, tokens_to_image, w_1, w_2, image_to_tokens, num_heads: int, first: int
) -> np.ndarray:
    weights = {
        **without_biases(among_tokens, "self_attn."),
        **without_biases(tokens_to_image, "cross_attn_token_to_image."),
        **without_biases(image_to_tokens, "cross_attn_image_to_token."),
        **{"mlp.lin1.weight": w_1, "mlp.lin1.bias": 0 * w_1[:, 0]},
        **{"mlp.lin2.weight": w_2, "mlp.lin2.bias": 0 * w_2[:, 0]},
    }
    for number in range(1, 5):
        weights[f"norm{number}.weight"] = np.ones_like(x[0, 0])
        weights[f"norm{number}.bias"] = np.zeros_like(x[0, 0])
    return np.concatenate(reference_block(x, y, p, e, weights, num_heads, bool(first)), axis=1)


def image_asks(x, y, p, e, w, num_heads: int) -> np.ndarray:
    told = multi_head_attention(y + e, x + p, x, without_biases(w), num_heads)
    return layer_norm(y + told, np.ones_like(x[0, 0]), np.zeros_like(x[0, 0]), eps=1e-5)


EXERCISES = [
    Exercise(
        name="multi_head",
        task="attention with heads between two sets of tokens, in NumPy",
        cases=head_cases,
        reference=multi_head,
        hints=(
            "Project first: q @ w_q.T is [B, L, I]. Reshape to [B, L, heads, I / heads], then exchange axes 1 and 2.",
            "Attention for all heads at once: scores [B, heads, L, S], softmax over the last axis, times the values.",
            "Back: exchange axes 1 and 2 again, reshape to [B, L, I], and multiply by w_out.T.",
        ),
    ),
    Exercise(
        name="two_way_block",
        task="a block of the two-way transformer in torch: four steps",
        cases=block_cases,
        reference=two_way_block,
        framework="torch",
        differentiable=("x", "y"),
        hints=(
            "Four lines, one for each equation, with attend and norm as they are given.",
            "Step 1 has two forms: where first is 1, x = norm(attend(x, x, x, …)), without p and without a residual.",
            "Step 4 takes the x that came out of step 3. At the end torch.cat([x, y], dim=1).",
        ),
    ),
    Exercise(
        name="image_asks",
        task="find the bug: the image asks the tokens",
        cases=image_cases,
        reference=image_asks,
        framework="torch",
        differentiable=("x", "y"),
        find_the_bug=True,
        hints=(
            "The result of attention is an average of the values. Whose values are they?",
            "Compare with equation 4.",
        ),
    ),
]
