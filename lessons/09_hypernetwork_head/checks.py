"""What the answers of lesson 9 are held to: the project's references, torch's transposed convolution, and the rule."""

import numpy as np
import torch
import torch.nn.functional as F

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case
from minisam_kernels.reference.hypernetwork_head import hypernetwork_head

HEADS = {  # B, M, D, C, h, w
    "one mask, one pixel": (1, 1, 3, 2, 1, 1),
    "four masks": (1, 4, 8, 4, 5, 5),
    "a wide picture": (1, 2, 6, 3, 2, 9),
    "two prompts": (2, 4, 5, 6, 3, 4),
    "three masks of three prompts": (3, 3, 16, 8, 4, 2),
}
PICTURES = {  # B, C, D, h, w
    "one pixel": (1, 3, 2, 1, 1),
    "a square": (1, 4, 4, 3, 3),
    "a wide picture": (1, 2, 5, 2, 7),
    "two pictures": (2, 8, 4, 3, 2),
    "one channel": (2, 1, 1, 5, 4),
    "many pixels": (1, 2, 2, 24, 30),
}
CHOICES = {  # B, parts, does the clear prompt's mask have the highest prediction?
    "one click": (1, 1, False),
    "one click, mask 0 thinks it is best": (3, 1, True),
    "two clicks": (2, 2, False),
    "three clicks and a box": (3, 4, True),
    "five single clicks": (5, 1, False),
}
OUTPUTS = {  # B, masks, tokens of the prompt, C, h, w
    "no prompt": (1, 4, 0, 5, 3, 3),
    "one click with its padding": (1, 4, 2, 6, 4, 5),
    "two boxes": (2, 4, 2, 3, 2, 6),
    "many clicks, three masks": (3, 3, 9, 4, 3, 2),
    "one mask, one channel": (2, 1, 3, 1, 4, 4),
}


def head_cases() -> list[Case]:
    cases = []
    for seed, (name, (B, M, D, C, h, w)) in enumerate(HEADS.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {"tokens": normal((B, M, D)), "features": normal((B, C, h, w))}
        for layer, outputs in (("1", D), ("2", D), ("3", C)):
            inputs[f"w_{layer}"] = normal((M, outputs, D)) * D**-0.5
            inputs[f"b_{layer}"] = 0.5 * normal((M, outputs))
        cases.append(Case("mask_heads", name, inputs))
    return cases


def picture_cases() -> list[Case]:
    cases = []
    for seed, (name, (B, C, D, h, w)) in enumerate(PICTURES.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {"x": normal((B, C, h, w)), "weight": normal((C, D, 2, 2)), "bias": normal(D)}
        cases.append(Case("finer", name, inputs))
    return cases


def choice_cases() -> list[Case]:
    cases = []
    for seed, (name, (B, parts, clear_is_best)) in enumerate(CHOICES.items()):
        rng = np.random.default_rng(seed)
        iou = rng.uniform(0, 1, (B, 4))
        iou[:, 0] = 1.1 if clear_is_best else -0.1
        inputs = {"masks": rng.standard_normal((B, 4, 3, 5)), "iou": iou}
        cases.append(Case("choose", name, inputs, {"parts": parts}))
    equal = {"masks": cases[2].inputs["masks"], "iou": np.array([[0.1, 0.7, 0.7, 0.2], [0.9, 0.4, 0.8, 0.8]])}
    return [*cases, Case("choose", "equal predictions", equal, {"parts": 1})]


def output_cases() -> list[Case]:
    cases = []
    for seed, (name, (B, masks, prompt, C, h, w)) in enumerate(OUTPUTS.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {"tokens": normal((B, 1 + masks + prompt, C)), "features": normal((B, C, h, w))}
        cases.append(Case("masks_of", name, inputs, {"masks": masks}))
    return cases


def mask_heads(tokens, features, w_1, b_1, w_2, b_2, w_3, b_3) -> np.ndarray:
    layers = ((w_1, b_1), (w_2, b_2), (w_3, b_3))
    weights = {}
    for m in range(tokens.shape[1]):
        for number, (w, b) in enumerate(layers):
            weights |= {f"{m}.layers.{number}.weight": w[m], f"{m}.layers.{number}.bias": b[m]}
    return hypernetwork_head(tokens, features, weights)


def finer(x, weight, bias) -> np.ndarray:
    """The transposed convolution of minisam.model.mask_decoder."""
    x, weight, bias = (torch.from_numpy(np.ascontiguousarray(array)) for array in (x, weight, bias))
    return F.conv_transpose2d(x, weight, bias, stride=2).numpy()


def choose(masks, iou, parts: int) -> np.ndarray:
    """Prompt by prompt."""
    numbers = [0] * len(masks) if parts > 1 else [max((1, 2, 3), key=lambda m: row[m]) for row in iou]
    return np.stack([mask[number] for mask, number in zip(masks, numbers, strict=True)])


def masks_of(tokens, features, masks: int) -> np.ndarray:
    """Mask by mask, each a sum over the channels."""
    return np.stack([(tokens[:, 1 + m, :, None, None] * features).sum(axis=1) for m in range(masks)], axis=1)


EXERCISES = [
    Exercise(
        name="mask_heads",
        task="the mask heads in NumPy: a perceptron for each mask token, and a sum over the channels",
        cases=head_cases,
        reference=mask_heads,
        hints=(
            'A layer for all tokens at once: np.einsum("bmd,med->bme", tokens, w_1) + b_1.',
            "np.maximum(x, 0) is a ReLU; it stands after the first and the second layer.",
            'The masks: np.einsum("bmc,bchw->bmhw", weights, features).',
        ),
    ),
    Exercise(
        name="finer",
        task="a transposed convolution of kernel 2 and stride 2 in torch, without a convolution",
        cases=picture_cases,
        reference=finer,
        framework="torch",
        differentiable=("x", "weight", "bias"),
        banned=("conv",),
        most_operations=40,
        hints=(
            'torch.einsum("bcyx,cdij->bdyxij", x, weight) has all the numbers: for each token, its square of 2 × 2.',
            "The axes have to be in the order y, i, x, j before y with i, and x with j, become one axis each.",
            "flatten(4, 5) joins the last two of six axes; then flatten(2, 3). The bias is added last, bias[:, None, "
            "None].",
        ),
    ),
    Exercise(
        name="choose",
        task="one mask of four, by the number of a prompt's parts and the predicted IoU",
        cases=choice_cases,
        reference=choose,
        hints=(
            "parts > 1: masks[:, 0].",
            "iou[:, 1:].argmax(axis=1) counts from mask 1, so add 1.",
            "masks[np.arange(len(masks)), best] takes another mask for each prompt.",
        ),
    ),
    Exercise(
        name="masks_of",
        task="find the bug: which of the transformer's tokens become masks",
        cases=output_cases,
        reference=masks_of,
        find_the_bug=True,
        hints=(
            "Write down the order of the tokens for one click with its padding: seven of them.",
            "The number of prompt tokens changes from prompt to prompt. Count from the front.",
        ),
    ),
]
