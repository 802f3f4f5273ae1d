"""What the answers of lesson 24 are held to: minisam/evaluate, on small masks and counts."""

from __future__ import annotations

import numpy as np
import torch

from minisam.evaluate.average_recall import average_recall
from minisam.evaluate.clicks import next_clicks
from minisam.evaluate.edge_scores import EdgeCounts, edge_scores
from minisam.evaluate.mask_matching import IOU_THRESHOLDS, Overlaps
from minisam.evaluate.statistics import weighted_mean
from minisam.lesson.exercise import Exercise
from minisam.masks.distance import squared_distance_transform
from minisam_kernels.cases import Case


def rectangle(height: int, width: int, *corners: tuple[int, int, int, int]) -> np.ndarray:
    """A mask [height, width] that is 1 in each of the rectangles (top, left, bottom, right), the ends left out."""
    mask = np.zeros((height, width))
    for top, left, bottom, right in corners:
        mask[top:bottom, left:right] = 1
    return mask


def disc(height: int, width: int, y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return (np.hypot(rows - y, columns - x) <= radius).astype(float)


def depth_cases() -> list[Case]:
    rng = np.random.default_rng(0)
    masks = {
        "a rectangle": rectangle(8, 9, (1, 2, 6, 8)),
        "a disc": disc(11, 13, 5, 6.5, 4.2),
        "a hole": rectangle(9, 9, (1, 1, 8, 8)) - rectangle(9, 9, (3, 4, 4, 5)),
        "at the image's corner": rectangle(7, 8, (0, 0, 5, 6)),
        "the whole image": np.ones((6, 5)),
        "scattered holes": (rng.random((12, 10)) < 0.9).astype(float),
        "empty": np.zeros((4, 3)),
    }
    return [Case("depths", name, {"mask": mask}) for name, mask in masks.items()]


def depths(mask: np.ndarray) -> np.ndarray:
    """minisam.masks.distance.squared_distance_transform."""
    return squared_distance_transform(torch.from_numpy(mask > 0)[None])[0].numpy().astype(mask.dtype)


def click_cases() -> list[Case]:
    square = rectangle(12, 14, (3, 2, 9, 11))
    rows, columns = np.mgrid[:11, :18]
    diamond = (abs(rows - 5) + abs(columns - 12) <= 3).astype(float)
    pairs = {
        "a part is missed": (rectangle(12, 14, (3, 2, 9, 6)), square),
        "it spills over": (rectangle(12, 14, (3, 2, 10, 14)), rectangle(12, 14, (3, 2, 10, 8))),
        "a long thin miss, a small deep spill": (
            rectangle(12, 14, (0, 0, 1, 1), (7, 9, 12, 14)),
            rectangle(12, 14, (1, 0, 3, 14)),
        ),
        "two misses": (np.zeros((12, 14)), rectangle(12, 14, (1, 1, 11, 3), (4, 6, 9, 11))),
        "a miss beside a spill": (
            rectangle(12, 14, (2, 1, 10, 4), (2, 4, 10, 8)),
            rectangle(12, 14, (2, 1, 10, 4), (2, 8, 10, 13)),
        ),
        "a miss at the image's border": (rectangle(12, 14, (8, 9, 12, 14)), rectangle(12, 14, (0, 0, 7, 5))),
        "as deep as each other": (rectangle(12, 14, (1, 8, 4, 11)), rectangle(12, 14, (7, 1, 10, 4))),
        "a diamond spills over, a square is missed": (diamond, rectangle(11, 18, (2, 1, 7, 6))),
        "nothing is wrong": (square, square.copy()),
    }
    return [Case("next_click", name, {"mask": m, "target": t}) for name, (m, t) in pairs.items()]


def next_click(mask: np.ndarray, target: np.ndarray) -> np.ndarray:
    """minisam.evaluate.clicks.next_clicks."""
    click, label = next_clicks(torch.from_numpy(mask > 0)[None], torch.from_numpy(target > 0)[None])
    return np.append(click[0].numpy(), label.numpy()).astype(mask.dtype)


def recall_cases() -> list[Case]:
    rng = np.random.default_rng(0)
    overlaps = {  # IoU [D, G], scores [D], at most
        "two masks, three targets": ([[0.92, 0.1, 0.0], [0.05, 0.63, 0.2]], [0.4, 0.8], 10),
        "one target twice": ([[0.91, 0.12], [0.84, 0.13], [0.2, 0.51]], [0.9, 0.7, 0.6], 10),
        "a mask that suits two targets": ([[0.78, 0.72, 0.1], [0.81, 0.3, 0.0]], [0.9, 0.8], 10),
        "the sure mask comes last": ([[0.62, 0.0], [0.0, 0.83], [0.93, 0.22]], [0.2, 0.5, 0.9], 2),
        "the better one is taken": ([[0.87, 0.1], [0.9, 0.68]], [0.9, 0.5], 10),
        "exactly 0.5": ([[0.5, 0.0], [0.0, 0.49]], [0.5, 0.4], 10),
    }
    found = [
        Case("recalls", name, {"iou": np.array(iou), "scores": np.array(scores)}, {"most": most})
        for name, (iou, scores, most) in overlaps.items()
    ]
    for masks, targets, most in ((30, 12, 10), (40, 9, 40)):
        inputs = {"iou": rng.random((masks, targets)) ** 0.7, "scores": rng.permutation(masks) / masks}
        found.append(
            Case("recalls", f"{masks} masks, {targets} targets, the {most} best", inputs, {"most": most})
        )
    return found


def recalls(iou: np.ndarray, scores: np.ndarray, most: int) -> np.ndarray:
    """minisam.evaluate.average_recall, one threshold at a time."""
    areas, target_areas = (np.full(n, 100.0) for n in iou.shape)
    image = Overlaps(iou, scores, areas, target_areas, np.zeros(iou.shape[1], bool))
    return np.array(
        [average_recall([image], most=most, thresholds=IOU_THRESHOLDS[t : t + 1]) for t in range(10)],
        iou.dtype,
    )


def interval_cases() -> list[Case]:
    sizes = {  # masks of each image
        "as many masks in each image": [4, 4, 4, 4, 4],
        "one image has most masks": [1, 2, 30, 1, 3],
        "one mask an image": [1] * 12,
        "two images": [5, 9],
        "numbers with gaps": [3, 7, 2, 8, 1, 6, 4],
    }
    found = []
    for seed, (name, counts) in enumerate(sizes.items()):
        rng = np.random.default_rng(seed)
        numbers = np.arange(len(counts)) * (3 if "gaps" in name else 1)
        image = np.repeat(numbers, counts)
        level = rng.uniform(0.3, 0.8, len(counts))
        values = np.clip(np.repeat(level, counts) + rng.normal(0, 0.12, len(image)), 0, 1)
        shuffle = rng.permutation(len(image))
        drawn = rng.choice(numbers, (100, len(counts)))
        inputs = {"values": values[shuffle], "image": image[shuffle], "drawn": drawn}
        found.append(Case("interval", name, {key: array.astype(float) for key, array in inputs.items()}))
    return found


def interval(values: np.ndarray, image: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """minisam.evaluate.bootstrap, with the resamples given: each mask counts as often as its image was drawn."""
    weights = torch.from_numpy((drawn[:, :, None] == image).sum(axis=1).astype(values.dtype))
    means = weighted_mean(torch.from_numpy(values), weights)
    return means.quantile(torch.tensor([0.025, 0.975], dtype=means.dtype)).numpy()


def count_cases() -> list[Case]:
    settings = {  # images, thresholds, by how much their best thresholds differ
        "one image": (1, 9, 0.0),
        "two images alike": (2, 9, 0.05),
        "two images unlike": (2, 15, 0.3),
        "five images": (5, 20, 0.25),
        "nothing predicted at the end": (3, 12, 0.2),
    }
    found = []
    for seed, (name, (images, steps, apart)) in enumerate(settings.items()):
        rng = np.random.default_rng(seed)
        true = rng.integers(80, 900, images)
        threshold = np.linspace(0.02, 0.98, steps)
        middle = 0.45 + apart * rng.uniform(-1, 1, (images, 1))
        kept = 1 / (1 + np.exp((threshold - middle) / 0.07))
        noise = 1 / (1 + np.exp((threshold - middle + 0.12) / 0.08)) * rng.uniform(0.5, 3, (images, 1))
        right = np.floor(true[:, None] * kept * rng.uniform(0.6, 0.95, (images, 1)))
        predicted = right + np.floor(true[:, None] * noise)
        if "nothing" in name:
            right[:, -3:] = predicted[:, -3:] = 0
        inputs = {"right": right, "predicted": predicted, "true": true}
        found.append(Case("ods_and_ois", name, {key: array.astype(float) for key, array in inputs.items()}))
    return found


def ods_and_ois(right: np.ndarray, predicted: np.ndarray, true: np.ndarray) -> np.ndarray:
    """minisam.evaluate.edge_scores, for one person's edges: as many true pixels are found as predicted are right."""
    counts = [EdgeCounts(r, p, r, np.full(len(r), t)) for r, p, t in zip(right, predicted, true, strict=True)]
    scores = edge_scores(counts, np.linspace(0, 1, right.shape[1]))
    return np.array([scores.ods, scores.ois], right.dtype)


EXERCISES = [
    Exercise(
        name="depths",
        task="how deep in a mask each pixel lies: the distance transform, in NumPy",
        cases=depth_cases,
        reference=depths,
        hints=(
            "np.pad(mask, 1) puts a ring of zeros around the image: what is not seen counts as outside.",
            "np.argwhere(padded == 0) lists the places (y, x) outside; the padding has moved them by one.",
            "For each pixel inside: the squared distances to all of them, and the least of these.",
        ),
    ),
    Exercise(
        name="next_click",
        task="where a simulated user clicks next, in NumPy",
        cases=click_cases,
        reference=next_click,
        hints=(
            "There are two kinds of error: target without mask is missed, mask without target spilled over.",
            "Take your own depths of each by itself. Where the largest depth is, there is the click.",
            "np.unravel_index(depth.argmax(), depth.shape) gives (y, x), the first of several in reading order.",
        ),
    ),
    Exercise(
        name="recalls",
        task="which share of the targets the best masks find, at ten thresholds, in NumPy",
        cases=recall_cases,
        reference=recalls,
        hints=(
            "For each threshold anew: all targets are free. Go through the `most` best masks by falling score.",
            "Each takes, of the targets that are still free, the one with the highest IoU, if that is high enough.",
            "np.where(free, iou[mask], -1) leaves only free targets to argmax.",
        ),
    ),
    Exercise(
        name="interval",
        task="the middle 95 % of a mean when images are drawn again, in NumPy",
        cases=interval_cases,
        reference=interval,
        hints=(
            "A resample holds all masks of every image drawn, twice if the image was drawn twice.",
            "np.concatenate([values[image == one] for one in images]) is one resample; its mean is what to keep.",
            "np.quantile(means, [0.025, 0.975]); mind the type.",
        ),
    ),
    Exercise(
        name="ods_and_ois",
        task="find the bugs: two of them in the scores of edges",
        cases=count_cases,
        reference=ods_and_ois,
        find_the_bug=True,
        hints=(
            "An image with ten edge pixels counts here as much as one with ten thousand. Should it?",
            "Both scores are the F of sums over images. For ODS all are summed at one threshold.",
            "For OIS each image has its own best threshold. Pick its counts there, and add them up.",
        ),
    ),
]
