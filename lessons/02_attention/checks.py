"""What the answers of lesson 2 are held to: the references and cases of the project's own kernels."""

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam.lesson.scales import with_other_scales
from minisam_kernels.cases import Case, cases
from minisam_kernels.reference.attention import attention
from minisam_kernels.reference.softmax import softmax

MANY = {  # images, prompts of an image, L, S, D
    "one image, one prompt": (1, 1, 3, 5, 4),
    "one image, three prompts": (1, 3, 2, 7, 4),
    "two images, one prompt": (2, 1, 3, 5, 8),
    "two images, three prompts": (2, 3, 2, 6, 4),
    "three images, two prompts": (3, 2, 1, 5, 2),
}


def softmax_cases() -> list[Case]:
    """The kernel's cases, with the scale in the numbers."""
    return [
        Case(case.operation, case.name, {"x": case.constants["scale"] * case.inputs["x"]})
        for case in cases("softmax")
    ]


def many_cases() -> list[Case]:
    found = []
    for seed, (name, (B, M, L, S, D)) in enumerate(MANY.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {"q": normal((B * M, L, D)), "k": normal((B, S, D)), "v": normal((B, S, D))}
        found.append(Case("attend_per_prompt", name, inputs, {"scale": D**-0.5}))
    return [*found[:3], *with_other_scales(found[3:])]


def attend_per_prompt(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float) -> np.ndarray:
    """Image by image: the prompts of an image stand next to each other."""
    own = np.split(q, len(k))
    images = zip(own, k, v, strict=True)
    return np.concatenate([attention(prompts, keys, values, scale) for prompts, keys, values in images])


EXERCISES = [
    Exercise(
        name="softmax",
        task="softmax of every row in NumPy, for scores of any size",
        cases=softmax_cases,
        reference=softmax,
        hints=(
            "A row is the last axis: every maximum and every sum is over axis=-1, with keepdims=True.",
            "Subtract each row's own maximum before the exponential.",
        ),
    ),
    Exercise(
        name="attention",
        task="scaled dot-product attention in torch, from its equation",
        cases=lambda: with_other_scales(cases("attention")),
        reference=attention,
        framework="torch",
        differentiable=("q", "k", "v"),
        hints=(
            "scores = scale * q @ k with its last two axes exchanged: [..., L, S].",
            "Each query's weights sum to one: softmax over the keys, the last axis of the scores.",
        ),
    ),
    Exercise(
        name="attend_per_prompt",
        task="find the bug: several prompts for each of several images",
        cases=many_cases,
        reference=attend_per_prompt,
        find_the_bug=True,
        hints=(
            "Write down, for two images of three prompts, which image each of the six rows of k belongs to.",
            "The prompts are ordered a a a b b b. What order has np.tile?",
        ),
    ),
]
