"""What the answers of lesson 11 are held to: the losses that minisam trains with, on masks where losses break."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minisam.lesson.exercise import Exercise
from minisam.train import losses
from minisam_kernels.cases import Case

SIZES = {  # prompts, h, w
    "one pixel": (1, 1, 1),
    "one mask": (1, 5, 7),
    "three masks": (3, 6, 4),
    "many pixels": (2, 33, 20),
}
ALPHAS = (0.25, 0.5, 0.75, 0.1)
SEVERAL = {  # prompts, masks, h, w
    "one prompt, three masks": (1, 3, 5, 4),
    "as many prompts as masks": (3, 3, 4, 6),
    "five prompts, three masks": (5, 3, 7, 5),
    "one mask": (4, 1, 3, 3),
}
TREES = {  # trees, levels, h, w
    "two levels": (1, 2, 6, 6),
    "three levels": (4, 3, 8, 9),
    "four levels": (3, 4, 12, 7),
    "one level": (2, 1, 4, 5),
}


def mask_cases(operation: str) -> list[Case]:
    """Random masks with soft edges; masks that are certain, rightly and wrongly; an empty one."""
    found = []
    for seed, (name, (P, h, w)) in enumerate(SIZES.items()):
        rng = np.random.default_rng(seed)
        inputs = {"logits": 2 * rng.standard_normal((P, h, w)), "targets": shares(rng, (P, h, w))}
        found.append(Case(operation, name, inputs))
    rng = np.random.default_rng(9)
    certain = {
        "logits": rng.choice([-200.0, -20.0, 20.0, 200.0], (2, 4, 4)),
        "targets": shares(rng, (2, 4, 4)),
    }
    empty = {"logits": rng.standard_normal((2, 5, 5)) - 2, "targets": np.zeros((2, 5, 5))}
    return [*found, Case(operation, "certain pixels", certain), Case(operation, "empty targets", empty)]


def focal_cases() -> list[Case]:
    return [
        Case(case.operation, case.name, case.inputs, {"alpha": ALPHAS[number % 4], "gamma": 2.0 - number % 2})
        for number, case in enumerate(mask_cases("focal_loss"))
    ]


def several_cases(operation: str) -> list[Case]:
    found = []
    for seed, (name, (P, M, h, w)) in enumerate(SEVERAL.items()):
        rng = np.random.default_rng(seed)
        logits = 2 * rng.standard_normal((P, M, h, w)) + rng.standard_normal((P, M, 1, 1))
        found.append(Case(operation, name, {"logits": logits, "targets": shares(rng, (P, h, w))}))
    return found


def tree_cases() -> list[Case]:
    """Masks that lie in each other, smallest first, and chances of sum one."""
    found = []
    for seed, (name, (T, L, h, w)) in enumerate(TREES.items()):
        rng = np.random.default_rng(seed)
        depth = np.sort(rng.random((T, L)), axis=1)[:, :, None, None]
        masks = (rng.random((T, 1, h, w)) < 0.1 + 0.9 * depth).astype(float)
        masks[:, :, 0, 0] = 1.0
        chance = rng.dirichlet(np.ones(L), T)
        found.append(Case("one_mask_ceiling", name, {"masks": masks, "chance": chance}))
    equal = {"masks": found[1].inputs["masks"], "chance": np.full((4, 3), 1 / 3)}
    return [*found, Case("one_mask_ceiling", "equal chances", equal)]


def shares(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Targets: pixels inside, outside, and on an edge."""
    return np.where(rng.random(shape) < 0.4, rng.random(shape), rng.integers(0, 2, shape))


def in_torch(function: Callable[..., Tensor]) -> Callable[..., np.ndarray]:
    """The library's own function on NumPy arrays, in their precision."""

    def call(logits: np.ndarray, targets: np.ndarray, **constants: float) -> np.ndarray:
        return function(torch.tensor(logits), torch.tensor(targets), **constants).numpy()

    return call


def best_mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """What minisam.train.losses.segmentation_loss trains the masks by, before the mean over prompts."""
    wanted = targets[:, None]
    each = losses.FOCAL_WEIGHT * losses.focal_loss(logits, wanted)
    each = each + losses.DICE_WEIGHT * losses.dice_loss(logits, wanted)
    return each.gather(1, each.argmin(dim=1, keepdim=True)).squeeze(1)


def mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return each.mean(dim=(-2, -1)) + losses.dice_loss(logits, targets)


def one_mask_ceiling(masks: np.ndarray, chance: np.ndarray) -> np.ndarray:
    """By trying every union of rings, not the levels alone."""
    found = []
    for levels, likely in zip(masks > 0.5, chance, strict=True):
        rings = [levels[0], *(outer & ~inner for inner, outer in pairwise(levels))]
        best = np.zeros((), masks.dtype)
        for chosen in range(1, 2 ** len(rings)):
            mask = np.any([ring for n, ring in enumerate(rings) if chosen >> n & 1], axis=0)
            iou = [(mask & level).sum() / (mask | level).sum() for level in levels]
            best = max(best, likely @ np.array(iou, masks.dtype))
        found.append(best)
    return np.array(found)


EXERCISES = [
    Exercise(
        name="focal_loss",
        task="the focal loss in NumPy, for targets that are shares of a pixel and logits of any size",
        cases=focal_cases,
        reference=in_torch(losses.focal_loss),
        hints=(
            "Four factors of a pixel: α_t, |t - p|^γ, and the cross-entropy; then the mean over axes -2 and -1.",
            "With x the logit, BCE = max(x, 0) - x·t + log(1 + exp(-|x|)): no logarithm of a number that may be 0.",
            "α_t = α·t + (1 - α)·(1 - t), for any t between 0 and 1.",
        ),
    ),
    Exercise(
        name="dice_loss",
        task="the dice loss in torch",
        cases=lambda: mask_cases("dice_loss"),
        reference=in_torch(losses.dice_loss),
        without=("minisam.train.losses",),
        framework="torch",
        differentiable=("logits",),
        hints=(
            "p is the sigmoid of the logits, and it is not thresholded: a threshold has no gradient.",
            "Three sums over dim=(-2, -1): of p·t, of p and of t.",
        ),
    ),
    Exercise(
        name="one_mask_ceiling",
        task="the best expected IoU that one mask can have, in NumPy",
        cases=tree_cases,
        reference=one_mask_ceiling,
        hints=(
            "Only the levels themselves have to be tried: for each, its IoU with all levels, weighted by chance.",
            "With masks flattened to [T, L, pixels], overlaps of all pairs are one product: inside @ inside^T.",
            "union = area of one + area of the other - overlap.",
        ),
    ),
    Exercise(
        name="best_mask_loss",
        task="the loss of the best of the masks, in torch, from minisam.train.losses",
        cases=lambda: several_cases("best_mask_loss"),
        reference=in_torch(best_mask_loss),
        framework="torch",
        differentiable=("logits",),
        hints=(
            "Give the targets an axis for the masks, targets[:, None], and both losses come as [P, M].",
            "Add them up first, 20 focal + dice, then take the least of each prompt.",
        ),
    ),
    Exercise(
        name="mask_loss",
        task="find the bug: a loss that never comes near zero",
        cases=lambda: mask_cases("mask_loss"),
        reference=in_torch(mask_loss),
        find_the_bug=True,
        hints=(
            "Which of the two losses wants a logit, and which a probability?",
            "log(1 + e^x) - x·t is the cross-entropy of the sigmoid of x: x is the logit.",
        ),
    ),
]
