"""The shapes and inputs on which a kernel has to be correct: one list per operation, for tests, lab and lessons.

Kernels tend to fail if a size is 1, odd, prime, or just larger than a block; if a grid is not square; if a head dim
is not a power of two; and if scores are huge, all equal, or dominated by one of them. Every list has these cases,
with few programs in total, because the interpreter takes 2 to 3 ms for each program.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from minisam_kernels import dense
from minisam_kernels.mask_cases import COUNTING, HARD_MASKS, MASK_SIZES, mask_inputs, mask_thresholds
from minisam_kernels.reference.attention import attention
from minisam_kernels.reference.cross_attention import cross_attention
from minisam_kernels.reference.image_to_token import image_to_token
from minisam_kernels.reference.mask_bits import mask_bits
from minisam_kernels.reference.mask_statistics import mask_statistics
from minisam_kernels.reference.rel_pos_attention import rel_pos_attention
from minisam_kernels.reference.softmax import softmax
from minisam_kernels.reference.token_to_image import token_to_image
from minisam_kernels.reference.window_attention import window_attention

SIZES: dict[str, dict[str, tuple[int, ...]]] = {
    "softmax": {  # rows, columns
        "one number": (1, 1),
        "one column": (5, 1),
        "prime": (7, 13),
        "wider than a block": (3, 1031),
        "taller than a block": (67, 33),
    },
    "attention": {  # B, N, L, S, D
        "one token": (1, 1, 1, 1, 16),
        "prime, head dim 24": (1, 2, 37, 37, 24),
        "two batches, head dim 40": (2, 1, 17, 29, 40),
        "longer than a block, head dim 64": (1, 1, 131, 131, 64),
        "rectangular, head dim 80": (1, 2, 33, 70, 80),
        "one key more than a block, head dim 128": (1, 1, 19, 65, 128),
    },
    "cross_attention": {  # B, N, L, S, D
        "one query, one key": (1, 1, 1, 1, 16),
        "few queries, many keys": (1, 2, 7, 301, 16),
        "many queries, few keys": (1, 1, 261, 7, 32),
        "one query, prime keys, head dim 24": (2, 1, 1, 61, 24),
        "head dim 40": (1, 1, 17, 131, 40),
        "head dim 80": (1, 1, 9, 520, 80),
        "head dim 128": (1, 1, 5, 97, 128),
    },
    "rel_pos_attention": {  # B, N, H, W, D
        "one token": (1, 1, 1, 1, 16),
        "prime sides, head dim 24": (1, 2, 7, 5, 24),
        "one column": (1, 1, 19, 1, 16),
        "rows longer than a block, head dim 40": (2, 1, 2, 67, 40),
        "more rows than a block, head dim 64": (1, 1, 13, 11, 64),
        "head dim 80": (1, 2, 5, 9, 80),
        "head dim 128": (1, 1, 4, 8, 128),
    },
    "window_attention": {  # B, H, W, N, D, S
        "one token": (1, 1, 1, 1, 16, 1),
        "whole windows, head dim 24": (2, 4, 6, 1, 24, 2),
        "padded, head dim 40": (1, 5, 7, 2, 40, 3),
        "padding all around, head dim 16": (1, 2, 3, 2, 16, 7),
        "SAM's window, head dim 64": (1, 14, 17, 1, 64, 14),
        "head dim 80": (1, 8, 5, 1, 80, 5),
        "head dim 128": (1, 3, 4, 1, 128, 3),
    },
    "token_to_image": {  # B, R, S, E
        "one row, one token": (1, 1, 1, 16),
        "prime, 24 channels": (2, 7, 37, 24),
        "many parts, 40 channels": (2, 21, 1031, 40),
        "more rows than a block, 96 channels": (1, 67, 31, 96),
        "80 channels": (1, 9, 130, 80),
        "128 channels": (1, 5, 33, 128),
        "256 channels": (1, 17, 19, 256),
    },
    "image_to_token": {  # images, B, N, T, S, E
        "one head, one token": (1, 1, 1, 1, 1, 16),
        "prime, 24 channels": (2, 2, 3, 5, 37, 24),
        "one image for many prompts, 40 channels": (1, 3, 2, 7, 67, 40),
        "80 channels": (1, 1, 2, 3, 21, 80),
        "more tokens than a block, 96 channels": (1, 1, 3, 2, 131, 96),
        "128 channels": (1, 1, 2, 9, 19, 128),
        "SAM's heads and tokens, 256 channels": (1, 1, 8, 7, 33, 256),
    },
    "mask_statistics": MASK_SIZES,
    "mask_bits": MASK_SIZES,
}

ADVERSARIAL_SIZE = {
    "softmax": "prime",
    "attention": "prime, head dim 24",
    "cross_attention": "few queries, many keys",
    "rel_pos_attention": "prime sides, head dim 24",
    "window_attention": "padded, head dim 40",
    "token_to_image": "prime, 24 channels",
    "image_to_token": "prime, 24 channels",
}
LOWEST = "scores below -10000"
CANCELLING_SIZE = {
    "attention": "longer than a block, head dim 64",
    "cross_attention": "few queries, many keys",
    "rel_pos_attention": "prime sides, head dim 24",
}


@dataclass(frozen=True)
class Case:
    """Arguments of one call: arrays in the order of the signature, then numbers by name."""

    operation: str
    name: str
    inputs: dict[str, np.ndarray]
    constants: dict[str, int | float] = field(default_factory=dict)

    @property
    def counts(self) -> bool:
        return self.operation in COUNTING

    def rounded(self, dtype: torch.dtype) -> Case:
        """The same case with inputs rounded to that type, then converted to float64."""
        inputs = {
            name: torch.tensor(array).to(dtype).double().numpy() for name, array in self.floats().items()
        }
        return Case(self.operation, self.name, self.inputs | inputs, self.constants)

    def floats(self) -> dict[str, np.ndarray]:
        """The inputs that are not indices, in the requested type."""
        return {name: array for name, array in self.inputs.items() if array.dtype.kind == "f"}

    def tensors(self, dtype: torch.dtype, device: str | torch.device = "cpu") -> dict[str, torch.Tensor]:
        """The inputs in their order, indices unchanged."""
        floats = self.floats()
        return {
            name: torch.tensor(array, dtype=dtype if name in floats else None, device=device)
            for name, array in self.inputs.items()
        }


def cases(operation: str) -> list[Case]:
    """Every shape with ordinary values, then one shape with each kind of adversarial values."""
    ordinary = [make_case(operation, name, size) for name, size in SIZES[operation].items()]
    return ordinary + adversarial_cases(operation)


def make_case(operation: str, name: str, size: tuple[int, ...]) -> Case:
    """A case of one size, in the order of the comment in SIZES, with values that depend only on the two names."""
    rng = np.random.default_rng(zlib.crc32(f"{operation} {name} {size}".encode()))
    normal = rng.standard_normal
    if operation == "softmax":
        return Case(operation, name, {"x": normal(size)}, {"scale": 0.7})
    if operation in COUNTING:
        return Case(operation, name, mask_inputs(size, rng), mask_thresholds(operation))
    if operation == "window_attention":
        B, H, W, N, D, S = size
        shapes = {"qkv": (B, H, W, 3 * N * D), "qkv_bias": (3 * N * D,)}
        inputs = {key: normal(shape) for key, shape in shapes.items()}
        inputs |= {key: 0.3 * normal((2 * S - 1, D)) for key in ("rel_pos_h", "rel_pos_w")}
        return Case(operation, name, inputs, {"num_heads": N, "window_size": S})
    if operation == "token_to_image":
        B, R, S, E = size
        inputs = {"rows": normal((B, R, E)), "image": normal((B, S, E)), "image_pe": 0.5 * normal((S, E))}
        return Case(operation, name, inputs, {"scale": E**-0.5})
    if operation == "image_to_token":
        images, B, N, T, S, E = size
        shapes = {"image": (images, S, E), "image_pe": (S, E), "rows": (B, N, T, E), "offsets": (B, N, T)}
        inputs = {key: normal(shape) for key, shape in (shapes | {"values": (B, N, T, E)}).items()}
        inputs |= {"weight": 1 + 0.3 * normal(E), "bias": normal(E)}
        return Case(operation, name, inputs, {"scale": E**-0.5, "eps": 1e-5})
    if operation == "rel_pos_attention":
        B, N, H, W, D = size
        L = S = H * W
    else:
        B, N, L, S, D = size
        H, W = 0, 0
    inputs = {"q": normal((B, N, L, D)), "k": normal((B, N, S, D)), "v": normal((B, N, S, D))}
    if operation == "rel_pos_attention":
        inputs |= {"rel_h": normal((B, N, L, H)), "rel_w": normal((B, N, L, W))}
    return Case(operation, name, inputs, {"scale": D**-0.5})


def adversarial_cases(operation: str) -> list[Case]:
    """One size with scores that overflow an exponential, underflow it, are all equal, or are dominated by one.

    Softmax also has the lowest scores, and rows with very different values: one common maximum for all rows would give
    0 / 0. Values that cancel need sums in float32.
    """
    if operation in COUNTING:
        return [make_hard_mask(operation, kind) for kind in HARD_MASKS]
    size = ADVERSARIAL_SIZE[operation]
    adversarial = []
    kinds = ["huge scores", "scores far below zero", "equal scores", "one score above all"]
    for kind in [*kinds, LOWEST, "rows far apart"] if operation == "softmax" else kinds:
        case = make_case(operation, f"{kind}, {size}", SIZES[operation][size])
        if operation == "softmax":
            _change_row(kind, case.inputs["x"])
        else:
            _change_scores(kind, case)
        adversarial.append(case)
    if operation in CANCELLING_SIZE:
        size = CANCELLING_SIZE[operation]
        case = make_case(operation, f"many values that cancel, {size}", SIZES[operation][size])
        _let_values_cancel(case.inputs)
        adversarial.append(case)
    return adversarial


def lowest_scores(operation: str) -> Case:
    """Scores that are all lower than what padding gets in some kernels in place of −inf; for float64."""
    size = ADVERSARIAL_SIZE[operation]
    case = make_case(operation, f"{LOWEST}, {size}", SIZES[operation][size])
    _change_scores(LOWEST, case)
    return case


def make_hard_mask(operation: str, kind: str) -> Case:
    """Masks of one kind, on an image of several tiles."""
    case = make_case(operation, kind, MASK_SIZES["hard"])
    HARD_MASKS[kind](case.inputs["low_res"])
    return case


def _change_row(kind: str, x: np.ndarray) -> None:
    if kind == "huge scores":
        x += 300
    elif kind == "scores far below zero":
        x -= 300
    elif kind == LOWEST:
        x -= 30000
    elif kind == "equal scores":
        x *= 0
    elif kind == "rows far apart":
        x += 200.0 * np.arange(len(x))[:, None]
    else:
        x[:, 2] += 200


def _change_scores(kind: str, case: Case) -> None:
    inputs, (q, keys) = case.inputs, queries_and_keys(case)
    if kind == "huge scores":
        q *= 10
    elif kind == "equal scores":
        q *= 0
    elif kind == "one score above all":
        keys[0][..., 2, :] *= 60
    else:
        # Rows that sum to zero cancel the part that all channels of a query have in common.
        for name in {"rel_pos_h", "rel_pos_w"} & set(inputs):
            inputs[name] -= inputs[name].mean(axis=-1, keepdims=True)
        head_dim = inputs.get("rel_pos_h", q).shape[-1]
        depth, step, mean = (200, 0.05, 100) if kind == LOWEST else (150, 0.1, 1)
        q[...] = 0.1 * q - depth * head_dim**-0.5
        for k in keys:
            k[...] = step * k + mean


def _let_values_cancel(inputs: dict[str, np.ndarray]) -> None:
    """Equal weights, and values near 500 for the first half of the keys, near -500 for the second."""
    for name in {"q", "rel_h", "rel_w"} & set(inputs):
        inputs[name] *= 0
    v = inputs["v"]
    keys = v.shape[2]
    v[:, :, : keys // 2] += 500
    v[:, :, keys - keys // 2 :] -= 500


def queries_and_keys(case: Case) -> tuple[np.ndarray, list[np.ndarray]]:
    """The queries and keys among a case's inputs, to be changed in place, including the keys of padded tokens."""
    if case.operation == "token_to_image":
        return case.inputs["rows"], [case.inputs["image"]]
    if case.operation == "image_to_token":
        return case.inputs["image"], [case.inputs["rows"]]
    if case.operation != "window_attention":
        return case.inputs["q"], [case.inputs["k"]]
    qkv, bias = case.inputs["qkv"], case.inputs["qkv_bias"]
    C = len(bias) // 3
    return qkv[..., :C], [qkv[..., C : 2 * C], bias[C : 2 * C]]


def reference(operation: str) -> Callable[..., np.ndarray]:
    """The operation's definition in NumPy."""
    return {
        "softmax": lambda x, scale: softmax(scale * x),
        "attention": attention,
        "cross_attention": cross_attention,
        "rel_pos_attention": rel_pos_attention,
        "window_attention": window_attention,
        "token_to_image": token_to_image,
        "image_to_token": image_to_token,
        "mask_statistics": mask_statistics,
        "mask_bits": mask_bits,
    }[operation]


def expected(case: Case) -> np.ndarray:
    """The reference's output for a case, in float64."""
    return reference(case.operation)(**case.inputs, **case.constants)


def expected_counts(case: Case, dtype: torch.dtype) -> np.ndarray:
    """The reference's output with sums as in a kernel for inputs of that type: in float32 or float64."""
    wide = np.float64 if dtype == torch.float64 else np.float32
    inputs = {name: array.astype(wide) for name, array in case.floats().items()}
    return reference(case.operation)(**(case.inputs | inputs), **case.constants)


def output_gradient(case: Case) -> np.ndarray:
    """A gradient to send back through a case's output; it depends only on the case's name."""
    seed = zlib.crc32(f"gradient {case.operation} {case.name}".encode())
    return np.random.default_rng(seed).standard_normal(expected(case).shape)


def gradients(case: Case, grad_out: np.ndarray) -> dict[str, np.ndarray]:
    """The gradient for every input, in float64, by autograd of the dense formula."""
    inputs = {name: torch.tensor(array, requires_grad=True) for name, array in case.inputs.items()}
    out = dense.OPERATIONS[case.operation](**inputs, **case.constants)
    grads = torch.autograd.grad(out, list(inputs.values()), torch.as_tensor(grad_out))
    return {name: grad.numpy() for name, grad in zip(inputs, grads, strict=True)}
