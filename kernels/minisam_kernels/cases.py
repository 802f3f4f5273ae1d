"""The inputs on which a kernel has to be correct, with the right results: for tests, lab and lessons.

case_sizes.py -> ordinary values of every size   one size -> adversarial_values.py
a case        -> the reference's output, and gradients by autograd of the dense formula
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from minisam_kernels import dense
from minisam_kernels.adversarial_values import LOWEST, change_row, change_scores, let_values_cancel
from minisam_kernels.case_sizes import ADVERSARIAL_SIZE, CANCELLING_SIZE, SIZES
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

OTHER_NUMBERS = {"scale": 1.7, "eps": 1e4}
"""Factors of the numbers that SAM uses."""


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
    """Every shape with ordinary values, then one shape with each kind of adversarial values, and with other numbers."""
    ordinary = [make_case(operation, name, size) for name, size in SIZES[operation].items()]
    return ordinary + adversarial_cases(operation) + cases_with_other_numbers(operation)


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
            change_row(kind, case.inputs["x"])
        else:
            change_scores(kind, case)
        adversarial.append(case)
    if operation in CANCELLING_SIZE:
        size = CANCELLING_SIZE[operation]
        case = make_case(operation, f"many values that cancel, {size}", SIZES[operation][size])
        let_values_cancel(case.inputs)
        adversarial.append(case)
    return adversarial


def cases_with_other_numbers(operation: str) -> list[Case]:
    """One size with another scale, and eps, than SAM's: a kernel that computes them itself is wrong here."""
    if operation not in ADVERSARIAL_SIZE:
        return []
    size = ADVERSARIAL_SIZE[operation]
    case = make_case(operation, f"other numbers, {size}", SIZES[operation][size])
    others = {
        name: OTHER_NUMBERS[name] * case.constants[name] for name in OTHER_NUMBERS.keys() & case.constants
    }
    return [replace(case, constants=case.constants | others)] if others else []


def lowest_scores(operation: str) -> Case:
    """Scores that are all lower than what padding gets in some kernels in place of −inf; for float64."""
    size = ADVERSARIAL_SIZE[operation]
    case = make_case(operation, f"{LOWEST}, {size}", SIZES[operation][size])
    change_scores(LOWEST, case)
    return case


def make_hard_mask(operation: str, kind: str) -> Case:
    """Masks of one kind, on an image of several tiles."""
    case = make_case(operation, kind, MASK_SIZES["hard"])
    HARD_MASKS[kind](case.inputs["low_res"])
    return case


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
