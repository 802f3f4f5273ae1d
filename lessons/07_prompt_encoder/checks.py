"""What the answers of lesson 7 are held to: the project's references, on every kind of prompt."""

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case
from minisam_kernels.reference.gelu import gelu
from minisam_kernels.reference.layer_norm_2d import layer_norm_2d
from minisam_kernels.reference.patch_embed import patch_embed
from minisam_kernels.reference.point_encoding import box_encoding, point_encoding

CLICKS = {  # labels of each prompt, height, width, F
    "one click": ([[1]], 32, 32, 4),
    "both kinds of click": ([[1, 0, 0, 1]], 64, 64, 6),
    "a wide input": ([[0, 1, 1]], 24, 80, 5),
    "corners of a box": ([[2, 3]], 48, 32, 8),
    "padding": ([[1, -1]], 16, 16, 3),
    "two prompts with padding": ([[1, 0, -1], [0, -1, -1]], 1024, 1024, 16),
    "every label": ([[3, -1, 0, 2, 1]], 40, 20, 7),
}
PROMPTS = {  # labels of each prompt's points, boxes a prompt, size, F
    "one click": ([[1]], 0, 64, 4),
    "a click and a box": ([[0]], 1, 64, 5),
    "a box alone": ([[]], 1, 32, 6),
    "two boxes": ([[]], 2, 128, 3),
    "three clicks, two prompts": ([[1, 0, 1], [1, 1, 0]], 0, 256, 8),
    "padding of different lengths": ([[1, -1], [0, 1]], 0, 64, 4),
    "two clicks and two boxes, two prompts": ([[1, 0], [0, -1]], 2, 1024, 12),
    "corners among the points, no box": ([[2, 3, 1]], 0, 64, 5),
    "corners among the points, and a box": ([[2, 3]], 1, 64, 4),
}
PICTURES = {  # B, C, h, w, D
    "one pixel": (1, 1, 1, 1, 4),
    "a mask": (1, 1, 4, 4, 4),
    "two masks, wide": (2, 1, 3, 5, 6),
    "four channels to sixteen": (1, 4, 3, 2, 16),
    "prime sizes": (2, 3, 5, 7, 5),
}
MASKS = {"one cell": (4, 4), "a square": (16, 16), "wide": (8, 24), "tall": (20, 8)}


def prompt_arrays(rng: np.random.Generator, labels: list[list[int]], boxes: int, high: tuple, F: int) -> dict:
    """Points and boxes within (width, height), and what is learned."""
    given = np.array(labels, float).reshape(len(labels), -1)
    arrays = {"points": rng.uniform(0, high, (*given.shape, 2)), "labels": given}
    corners = np.sort(rng.uniform(0, high, (len(given), boxes, 2, 2)), axis=2)
    learned = {
        "gaussian": rng.standard_normal((2, F)),
        "kinds": rng.standard_normal((4, 2 * F)),
        "not_a_point": rng.standard_normal(2 * F),
    }
    return {**arrays, "boxes": corners.reshape(len(given), boxes, 4), **learned}


def click_cases() -> list[Case]:
    cases = []
    for seed, (name, (labels, height, width, F)) in enumerate(CLICKS.items()):
        arrays = prompt_arrays(np.random.default_rng(seed), labels, 0, (width, height), F)
        del arrays["boxes"]
        cases.append(Case("embed_points", name, arrays, {"height": height, "width": width}))
    beyond = prompt_arrays(np.random.default_rng(20), [[1, 0, 1]], 0, (64, 48), 4)
    beyond["points"] = np.array([[[-5.0, 20], [64, 48], [30, 55]]])
    del beyond["boxes"]
    return [*cases, Case("embed_points", "points beyond the image", beyond, {"height": 48, "width": 64})]


def prompt_cases() -> list[Case]:
    cases = []
    for seed, (name, (labels, boxes, size, F)) in enumerate(PROMPTS.items()):
        arrays = prompt_arrays(np.random.default_rng(seed), labels, boxes, (size, size), F)
        cases.append(Case("sparse_tokens", name, arrays, {"size": size}))
    beyond = prompt_arrays(np.random.default_rng(21), [[1]], 1, (64, 64), 4)
    beyond["boxes"] = np.array([[[-6.0, 10, 40, 70]]])
    return [*cases, Case("sparse_tokens", "a box beyond the image", beyond, {"size": 64})]


def picture_cases() -> list[Case]:
    cases = []
    for seed, (name, (B, C, h, w, D)) in enumerate(PICTURES.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {"x": normal((B, C, 2 * h, 2 * w)), "weight": normal((D, C, 2, 2)), "bias": normal(D)}
        inputs |= {"norm_weight": 1 + 0.3 * normal(D), "norm_bias": normal(D)}
        cases.append(Case("shrink", name, inputs))
    nearly_equal = dict(cases[1].inputs)
    nearly_equal |= {name: 1e-3 * nearly_equal[name] for name in ("x", "bias")}
    return [*cases, Case("shrink", "channels that hardly differ", nearly_equal)]


def mask_cases() -> list[Case]:
    """A disc, whose outline cuts through cells."""
    cases = []
    for name, (height, width) in MASKS.items():
        y, x = np.mgrid[:height, :width] + 0.5
        inside = (y - 0.4 * height) ** 2 + (x - 0.55 * width) ** 2 < (0.37 * min(height, width)) ** 2
        cases.append(Case("mask_to_logits", name, {"mask": inside.astype(float)}))
    return cases


def embed_points(points, labels, gaussian, kinds, not_a_point, height: int, width: int) -> np.ndarray:
    return point_encoding(points, labels.astype(int), gaussian, kinds, not_a_point, (height, width))


def sparse_tokens(points, labels, boxes, gaussian, kinds, not_a_point, size: int) -> np.ndarray:
    """Points, a padding point where there is no box, boxes."""
    if boxes.shape[1] == 0:
        points = np.pad(points, ((0, 0), (0, 1), (0, 0)))
        labels = np.pad(labels, ((0, 0), (0, 1)), constant_values=-1)
    tokens = embed_points(points, labels, gaussian, kinds, not_a_point, size, size)
    return np.concatenate([tokens, box_encoding(boxes, gaussian, kinds, (size, size))], axis=1)


def shrink(x, weight, bias, norm_weight, norm_bias) -> np.ndarray:
    convolved = patch_embed(x, weight, bias).transpose(0, 3, 1, 2)
    return gelu(layer_norm_2d(convolved, norm_weight, norm_bias))


def mask_to_logits(mask: np.ndarray) -> np.ndarray:
    """As minisam.predict.mask_prompt.mask_to_logits has it."""
    height, width = mask.shape
    return 20 * mask.reshape(1, height // 4, 4, width // 4, 4).mean(axis=(2, 4)) - 10


EXERCISES = [
    Exercise(
        name="embed_points",
        task="tokens of clicks in NumPy: where plus what",
        cases=click_cases,
        reference=embed_points,
        hints=(
            "The position in [0, 1] is (points + 0.5) divided by (width, height), in that order.",
            "labels.astype(int) can index kinds; label −1 must not.",
            "np.where((labels == -1)[..., None], not_a_point, tokens) chooses for each point.",
        ),
    ),
    Exercise(
        name="sparse_tokens",
        task="all tokens of a prompt in torch: points, padding, corners of boxes",
        cases=prompt_cases,
        reference=sparse_tokens,
        framework="torch",
        case_hints={
            "corners among the points, no box": "Labels 2 and 3 are no box: the padding point depends on boxes alone."
        },
        hints=(
            "boxes.reshape(B, -1, 2) is a list of corners: top left, bottom right, top left, …",
            "Put all places in one list and all labels in another (2 and 3 for corners, −1 for padding); then it is "
            "the first exercise.",
            "boxes.shape[1] == 0 means that there is no box: then one place (0, 0) with label −1 follows the points.",
        ),
    ),
    Exercise(
        name="shrink",
        task="one step of the mask's way to the grid, in torch: convolution, norm over the channels, GELU",
        cases=picture_cases,
        reference=shrink,
        framework="torch",
        differentiable=("x", "weight", "bias", "norm_weight", "norm_bias"),
        case_hints={
            "channels that hardly differ": "The variance is tiny here, so eps counts: 1e-6, added under the root."
        },
        hints=(
            "F.conv2d(x, weight, bias, stride=2) makes one vector of every 2 × 2 square.",
            "The channels are axis 1: mean(dim=1, keepdim=True).",
            "norm_weight[:, None, None] stretches over the pixels.",
        ),
    ),
    Exercise(
        name="mask_to_logits",
        task="find the bug: a mask of zeros and ones as a prompt",
        cases=mask_cases,
        reference=mask_to_logits,
        find_the_bug=True,
        hints=(
            "What does a logit of 0 say? And of 1?",
            "A straight line that takes 0 to −10 and 1 to 10.",
        ),
    ),
]
