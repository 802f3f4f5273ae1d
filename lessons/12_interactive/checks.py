"""What the answers of lesson 12 are held to: the simulated annotator that minisam trains with."""

from __future__ import annotations

import numpy as np
import torch

from minisam.lesson.exercise import Exercise
from minisam.masks.boxes import tight_boxes
from minisam.train.prompts import BOX_NOISE, MAX_BOX_NOISE
from minisam_kernels.cases import Case

REGIONS = {  # prompts, h, w, share inside, image size
    "one pixel": (1, 1, 1, 1.0, 1),
    "one mask, image of its size": (1, 7, 7, 0.4, 7),
    "four masks, image of its size": (4, 9, 9, 0.3, 9),
    "an image four times as large": (3, 8, 8, 0.3, 32),
    "an image sixteen times as large": (2, 5, 5, 0.5, 80),
    "regions wider than high": (3, 4, 9, 0.4, 36),
    "regions higher than wide": (3, 11, 5, 0.3, 10),
}
BOXES = {  # prompts, size, standard deviations
    "no noise": (2, 12, 0.0),
    "little noise": (3, 40, 0.3),
    "usual noise": (4, 100, 1.0),
    "much noise": (4, 100, 4.0),
    "small objects": (3, 256, 1.0),
}
ROUNDS = {  # prompts, masks, h, w
    "one prompt": (1, 3, 4, 5),
    "as many prompts as masks": (3, 3, 6, 4),
    "four prompts": (4, 3, 5, 5),
    "mask 0 alone": (3, 1, 4, 4),
}


def region_cases() -> list[Case]:
    found = []
    for seed, (name, (P, h, w, share, image_size)) in enumerate(REGIONS.items()):
        rng = np.random.default_rng(seed)
        region = (rng.random((P, h, w)) < share).astype(float)
        region[:, h // 2, w // 3] = 1.0
        count = region.sum(axis=(1, 2))
        draw = (rng.integers(0, count) + 0.5) / count  # far from where rounding decides
        found.append(
            Case("sample_points", name, {"region": region, "draw": draw}, {"image_size": image_size})
        )
    return found


def sample_points(region: np.ndarray, draw: np.ndarray, image_size: int) -> np.ndarray:
    """minisam.masks.sampling.sample_pixels with a given draw, then to the image's pixels as corrective_points does."""
    running_count = region.reshape(len(region), -1).cumsum(axis=1)
    rank = np.floor(draw * running_count[:, -1])
    index = np.array([np.searchsorted(row, r + 1) for row, r in zip(running_count, rank, strict=True)])
    cells = np.stack([index % region.shape[-1], index // region.shape[-1]], axis=1).astype(region.dtype)
    return (cells + 0.5) * (image_size / region.shape[-1]) - 0.5


def box_cases() -> list[Case]:
    found = []
    for seed, (name, (P, size, deviation)) in enumerate(BOXES.items()):
        rng = np.random.default_rng(seed)
        masks = np.zeros((P, size, size))
        for mask in masks:
            (x0, x1), (y0, y1) = np.sort(rng.integers(0, size, 2)), np.sort(rng.integers(0, size, 2))
            mask[y0, x0 : x1 + 1] = mask[y1, x0 : x1 + 1] = 1.0
            mask[y0 : y1 + 1, x0] = 1.0
        noise = deviation * rng.standard_normal((P, 4))
        found.append(Case("noisy_boxes", name, {"masks": masks, "noise": noise}))
    return found


def noisy_boxes(masks: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """minisam.train.prompts.noisy_boxes with a given noise."""
    boxes = tight_boxes(torch.tensor(masks) > 0.5).numpy().astype(noise.dtype)
    sides = np.tile(boxes[:, 2:] - boxes[:, :2] + 1, 2)
    limit = MAX_BOX_NOISE * masks.shape[-1]
    moved = np.clip(BOX_NOISE * noise * sides, -limit, limit)
    return np.clip(boxes + moved, 0, masks.shape[-1] - 1)


def correction_cases() -> list[Case]:
    """Masks that miss and spill; then one right to the pixel beside one that is not; then an empty one."""
    found = []
    for seed, (name, (P, _, h, w)) in enumerate(ROUNDS.items()):
        rng = np.random.default_rng(seed)
        inputs = {"logits": 2 * rng.standard_normal((P, h, w)), "targets": rng.random((P, h, w)).round(1)}
        inputs["targets"][inputs["targets"] == 0.5] = 0.4
        found.append(Case("corrections", name, inputs))
    rng = np.random.default_rng(7)
    targets = rng.integers(0, 2, (3, 5, 6)).astype(float)
    logits = 4 * targets - 2
    logits[1, 2] *= -1
    perfect = Case("corrections", "two of three right to the pixel", {"logits": logits, "targets": targets})
    empty = Case("corrections", "an empty mask", {"logits": np.full((1, 5, 6), -3.0), "targets": targets[:1]})
    even = {
        "logits": np.array([[[0.0, 2, 0], [1, -1, 0]]]),
        "targets": np.array([[[0.5, 1, 0.5], [0.5, 0, 1]]]),
    }
    at_threshold = Case("corrections", "logits of exactly zero, targets of exactly one half", even)
    return [*found, perfect, empty, at_threshold]


def corrections(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The regions that minisam.train.prompts.corrective_points draws from, and its labels."""
    predicted, wanted = logits > 0, targets > 0.5
    errors = predicted ^ wanted
    nothing = ~errors.any(axis=(1, 2), keepdims=True)
    region = np.where(nothing, ~wanted, errors)
    return np.stack([region & wanted, region & ~wanted], axis=1).astype(logits.dtype)


def feedback_cases() -> list[Case]:
    found = []
    for seed, (name, (P, M, h, w)) in enumerate(ROUNDS.items()):
        rng = np.random.default_rng(seed)
        inputs = {"logits": 3 * rng.standard_normal((P, M, h, w)), "iou_predictions": rng.random((P, M))}
        found.append(Case("feedback", name, inputs))
    sure = {"logits": 15 * found[1].inputs["logits"], "iou_predictions": found[1].inputs["iou_predictions"]}
    equal = {"logits": found[0].inputs["logits"], "iou_predictions": np.array([[0.2, 0.6, 0.6]])}
    return [*found, Case("feedback", "logits up to 100", sure), Case("feedback", "equal predictions", equal)]


def feedback(logits: np.ndarray, iou_predictions: np.ndarray) -> np.ndarray:
    """What minisam.train.interactive feeds back."""
    best = iou_predictions.argmax(axis=1)[:, None, None, None]
    return np.take_along_axis(logits, best, axis=1)


EXERCISES = [
    Exercise(
        name="sample_points",
        task="a uniform point of a region, in NumPy, in pixels of the image",
        cases=region_cases,
        reference=sample_points,
        hints=(
            "y, x = np.nonzero(inside) lists the pixels of one region, row by row.",
            "A draw between 0 and 1 times their number, rounded down, is the number of one of them.",
            "Pixel i of the mask covers scale pixels of the image; its middle is (i + 0.5) * scale - 0.5.",
        ),
    ),
    Exercise(
        name="noisy_boxes",
        task="the box that a careless annotator draws, in NumPy",
        cases=box_cases,
        reference=noisy_boxes,
        hints=(
            "The tight box is the least and the largest x and y of the mask's pixels.",
            "Its side is x1 - x0 + 1 pixels long; 10 % of it times the noise, for x by the width, for y by the height.",
            "Clip twice: the noise to 20/1024 of the image's size, then the box to 0 … S - 1.",
        ),
    ),
    Exercise(
        name="corrections",
        task="where the next click may fall, in torch",
        cases=correction_cases,
        reference=corrections,
        framework="torch",
        hints=(
            "Missed: wanted, not predicted, a foreground click. Spilled: predicted, not wanted, a background one.",
            "Where a mask is right to the pixel there is no error to click on: any background pixel will do.",
        ),
    ),
    Exercise(
        name="feedback",
        task="find the bug: the mask that is handed to the next round",
        cases=feedback_cases,
        reference=feedback,
        framework="torch",
        case_hints={
            "logits up to 100": "A sure network says so: nothing is clamped, scaled or rounded on the way."
        },
        find_the_bug=True,
        hints=(
            "What does the network know about a pixel with logit 0.1, and about one with 8? What is left of it?",
            "The mask prompt is the logits themselves, as the decoder gave them.",
        ),
    ),
]
