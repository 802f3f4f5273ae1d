"""What the answers of lesson 13 are held to: the steps of minisam's automatic mask generator."""

from __future__ import annotations

import numpy as np
import torch

from minisam.lesson.exercise import Exercise
from minisam.masks.nms import box_nms
from minisam.masks.rle import decode_rle, encode_rle
from minisam.masks.stability_score import calculate_stability_score
from minisam_kernels.cases import Case

LOGITS = {  # masks, H, W, threshold, offset
    "SAM's threshold and offset": (3, 6, 6, 0.0, 1.0),
    "one mask": (1, 4, 7, 0.0, 0.5),
    "a threshold above 0": (4, 5, 6, 0.5, 1.0),
    "a threshold below 0": (4, 8, 5, -0.75, 1.5),
}
BOXES = {  # boxes, side of the image, longest side of a box
    "one box": (1, 20, 9),
    "boxes that meet": (5, 20, 16),
    "boxes far from each other": (6, 90, 12),
    "many boxes": (30, 40, 25),
}
MASKS = {  # H, W, share set
    "a square mask": (5, 5, 0.4),
    "a wide mask": (3, 8, 0.5),
    "a tall mask": (9, 4, 0.3),
    "a mask with long runs": (12, 10, 0.9),
    "a row": (1, 9, 0.5),
}


def logit_cases() -> list[Case]:
    found = []
    for seed, (name, (N, H, W, threshold, offset)) in enumerate(LOGITS.items()):
        logits = 3 * np.random.default_rng(seed).standard_normal((N, H, W))
        logits[:, 0, :2] = threshold + 2 * offset
        numbers = {"threshold": threshold, "offset": offset}
        found.append(Case("stability_score", name, {"logits": logits}, numbers))
    even = {"logits": np.array([[[1.0, -1, 2], [0, 1, -1]]])}
    numbers = {"threshold": 0.0, "offset": 1.0}
    return [*found, Case("stability_score", "logits of exactly threshold ± offset", even, numbers)]


def stability_score(logits: np.ndarray, threshold: float, offset: float) -> np.ndarray:
    """minisam.masks.stability_score."""
    return calculate_stability_score(torch.tensor(logits), threshold, offset).numpy()


def random_boxes(seed: int, count: int, side: int, longest: int) -> np.ndarray:
    """Boxes with an area, at whole pixels, as the generator has them."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(longest // 3, longest + 1, (count, 2))
    corner = rng.integers(0, side - lengths + 1)
    return np.concatenate([corner, corner + lengths], axis=1).astype(float)


def box_cases() -> list[Case]:
    return [
        Case("box_iou", name, {"boxes": random_boxes(seed, *size)})
        for seed, (name, size) in enumerate(BOXES.items())
    ] + [Case("box_iou", "no box", {"boxes": np.zeros((0, 4))})]


def box_iou(boxes: np.ndarray) -> np.ndarray:
    """The IoU of minisam.masks.nms, one pair at a time."""
    iou = np.ones((len(boxes), len(boxes)), boxes.dtype)
    for a, (ax0, ay0, ax1, ay1) in enumerate(boxes):
        for b, (bx0, by0, bx1, by1) in enumerate(boxes):
            width = max(min(ax1, bx1) - max(ax0, bx0), 0)
            height = max(min(ay1, by1) - max(ay0, by0), 0)
            both = (ax1 - ax0) * (ay1 - ay0) + (bx1 - bx0) * (by1 - by0)
            iou[a, b] = width * height / (both - width * height)
    return iou


def suppression_cases() -> list[Case]:
    """Two duplicates; a chain; an overlap of exactly the threshold; then many at random."""
    made = {
        "two duplicates": ([[0, 0, 10, 10], [1, 0, 11, 10]], [0.8, 0.9], 0.7),
        "a chain of three": ([[0, 0, 10, 10], [3, 0, 13, 10], [6, 0, 16, 10]], [0.9, 0.8, 0.7], 0.4),
        "an overlap of exactly the threshold": ([[0, 0, 10, 10], [0, 0, 10, 5]], [0.9, 0.8], 0.5),
        "equal scores": (
            [[0, 0, 10, 10], [1, 0, 11, 10], [30, 0, 40, 10], [29, 0, 39, 10]],
            [0.5, 0.5, 0.5, 0.5],
            0.7,
        ),
    }
    cases = [
        Case("nms", name, {"boxes": np.array(boxes, float), "scores": np.array(scores)}, {"iou_threshold": t})
        for name, (boxes, scores, t) in made.items()
    ]
    for seed, (count, t) in enumerate(((12, 0.3), (40, 0.7), (60, 0.5))):
        inputs = {
            "boxes": random_boxes(seed, count, 30, 22),
            "scores": np.random.default_rng(seed).permutation(count) / count,
        }
        cases.append(Case("nms", f"{count} boxes", inputs, {"iou_threshold": t}))
    nothing = {"boxes": np.zeros((0, 4)), "scores": np.zeros(0)}
    return [*cases, Case("nms", "no box", nothing, {"iou_threshold": 0.7})]


def non_maximum_suppression(boxes: np.ndarray, scores: np.ndarray, iou_threshold: float) -> np.ndarray:
    """minisam.masks.nms, as flags."""
    kept = np.zeros(len(boxes), boxes.dtype)
    kept[box_nms(boxes, scores, iou_threshold)] = 1
    return kept


def random_masks() -> dict[str, np.ndarray]:
    """One mask for each size, the first pixel set in every second; at last an empty one and a full one."""
    masks = {}
    for seed, (name, (H, W, share)) in enumerate(MASKS.items()):
        mask = (np.random.default_rng(seed).random((H, W)) < share).astype(float)
        mask[0, 0] = seed % 2
        mask[0, -1] = 1.0
        masks[name] = mask
    long = np.zeros((40, 30))
    long[20, 8:10] = 1
    return {
        **masks,
        "runs of more than 255 pixels": long,
        "an empty mask": np.zeros((3, 4)),
        "a full mask": np.ones((4, 2)),
    }


def mask_cases() -> list[Case]:
    return [Case("run_lengths", name, {"mask": mask}) for name, mask in random_masks().items()]


def run_lengths(mask: np.ndarray) -> np.ndarray:
    """minisam.masks.rle.encode_rle."""
    return np.array(encode_rle(mask)["counts"], mask.dtype)


def counts_cases() -> list[Case]:
    found = []
    for name, mask in random_masks().items():
        height, width = mask.shape
        numbers = {"height": height, "width": width}
        found.append(Case("decode", name, {"counts": run_lengths(mask)}, numbers))
    return found


def decode(counts: np.ndarray, height: int, width: int) -> np.ndarray:
    """minisam.masks.rle.decode_rle."""
    rle = {"size": [height, width], "counts": counts.astype(int).tolist()}
    return decode_rle(rle).astype(counts.dtype)


EXERCISES = [
    Exercise(
        name="stability_score",
        task="how little a mask changes when its threshold moves, in NumPy",
        cases=logit_cases,
        reference=stability_score,
        hints=(
            "Cut each mask twice: at threshold + offset, and at threshold - offset.",
            "The first mask lies inside the second: their IoU is a quotient of two numbers of pixels.",
            "sum(axis=(1, 2)) counts the pixels of each mask by itself; give back the type of the logits.",
        ),
    ),
    Exercise(
        name="box_iou",
        task="the IoU of every box with every box, in torch and without a loop",
        cases=box_cases,
        reference=box_iou,
        framework="torch",
        most_operations=60,
        hints=(
            "What two boxes share starts at the larger of the starts, and ends at the smaller of the ends.",
            "boxes[:, None] against boxes[None] compares each with each.",
            "Clamp the shared sides to 0 before you multiply them; subtract the overlap once from the two areas.",
        ),
    ),
    Exercise(
        name="non_maximum_suppression",
        task="of boxes that overlap, the best stays, in NumPy",
        cases=suppression_cases,
        reference=non_maximum_suppression,
        takes_torch=True,
        case_hints={
            "equal scores": "Of boxes with equal scores, the one that comes first is kept: sort stably."
        },
        hints=(
            "Go through the boxes by falling score, and keep a list of those that are still in the race.",
            "A box that is kept takes all others with an IoU above the threshold out of the race.",
            "Your own box_iou(torch.from_numpy(boxes)).numpy() gives the overlaps.",
        ),
    ),
    Exercise(
        name="run_lengths",
        task="a mask as the lengths of its runs, in COCO's order, in NumPy",
        cases=mask_cases,
        reference=run_lengths,
        hints=(
            "mask.ravel(order='F') reads down the columns.",
            "A run starts at each pixel that differs from the one before it. Before the first pixel stands a 0.",
            "np.diff(borders, prepend=0, append=size) turns places into lengths, the first and last run included.",
        ),
    ),
    Exercise(
        name="decode",
        task="find the bug: counts become a mask again",
        cases=counts_cases,
        reference=decode,
        find_the_bug=True,
        hints=(
            "In which order did the pixels come, and in which are they laid out here?",
            "The first `height` pixels are the first column.",
        ),
    ),
]
