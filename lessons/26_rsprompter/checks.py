"""The checks of lesson 26: one anchor, one anchor's IoUs, one sample, one token and one box at a time."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case

GRIDS = {  # scales, ratios, height, width, stride
    "one cell, one scale": ((4.0,), (0.5, 1.0, 2.0), 1, 1, 16.0),
    "four cells, square anchors": ((2.0, 3.0), (1.0,), 2, 2, 8.0),
    "a wide map": ((4.0, 5.5), (0.5, 1.0, 2.0), 2, 5, 8.0),
    "a tall map": ((1.5, 4.0, 8.0), (0.25, 4.0), 4, 3, 32.0),
    "one row": ((8.0,), (1.0, 3.0), 1, 6, 4.0),
    "scales that fall": ((6.0, 2.0), (2.0, 0.5), 3, 2, 16.0),
}
MATCHES = {  # anchors, objects, positive, negative, lowest
    "many anchors": (40, 5, 0.75, 0.25, 0.25),
    "few anchors": (6, 4, 0.75, 0.5, 0.375),
    "one object": (12, 1, 0.625, 0.375, 0.375),
    "thresholds that meet": (30, 3, 0.5, 0.5, 0.5),
    "a lowest IoU of its own": (25, 6, 0.875, 0.25, 0.625),
}
ALIGNED = {  # channels, height, width, stride, side, box in pixels
    "the whole map": (2, 6, 6, 8.0, 3, (0, 0, 48, 48)),
    "a box between the cells": (3, 7, 9, 8.0, 2, (9, 5, 37, 30)),
    "a wide box": (2, 5, 12, 4.0, 2, (3, 7, 45, 13)),
    "a tall box": (1, 14, 4, 16.0, 3, (11, 20, 52, 213)),
    "smaller than a cell": (2, 4, 5, 32.0, 2, (40, 70, 53, 79)),
    "seven bins a side": (4, 10, 11, 8.0, 7, (13, 2, 81, 75)),
    "one bin": (2, 6, 8, 16.0, 1, (20, 12, 100, 60)),
}
WRITTEN = {  # objects, tokens of an object, E
    "one token of one object": (1, 1, 4),
    "five tokens": (2, 5, 6),
    "three objects": (3, 2, 5),
    "tiny's tokens": (2, 5, 96),
    "as many tokens as channels": (4, 3, 3),
}
PYRAMIDS = {  # channels, side of the image, finest, side of the result, sides of the boxes
    "small boxes first": (2, 128, 24.0, 3, (20, 30, 60, 110)),
    "small boxes alone": (3, 128, 40.0, 2, (20, 30, 11, 25, 36)),
    "large boxes first": (2, 128, 24.0, 2, (110, 60, 20)),
    "a list in no order": (3, 160, 28.0, 3, (70, 20, 130, 30, 25, 60, 140)),
    "two sizes in turn": (1, 128, 28.0, 2, (20, 40, 22, 45, 24, 50)),
    "three sizes in turn": (2, 128, 28.0, 2, (90, 20, 40, 100, 25, 50)),
}


def anchor_cases() -> list[Case]:
    return [
        Case(
            "grid_anchors",
            name,
            {"scales": np.array(scales), "ratios": np.array(ratios)},
            {"height": height, "width": width, "stride": stride},
        )
        for name, (scales, ratios, height, width, stride) in GRIDS.items()
    ]


def match_cases() -> list[Case]:
    """IoUs in eighths, which are exact in float32, and among which many are equal."""
    numbers = {"positive": 0.75, "negative": 0.25, "lowest": 0.25}
    made = {
        "each anchor has one object": [[0.875, 0], [0.125, 0], [0.5, 0], [0, 0.75]],
        "an object with poor anchors alone": [[0.875, 0.5], [0, 0.375], [0.5, 0.125], [0, 0]],
        "two equally good anchors": [[0.5, 0], [0.5, 0.125], [0.375, 0.875], [0, 0]],
        "an anchor is the best of two objects": [[0.625, 0.5], [0.125, 0.375], [0.5, 0.25]],
        "an object that is hardly touched": [[0.75, 0.125], [0.125, 0], [0.5, 0]],
        "an object that no anchor touches": [[0.75, 0], [0.125, 0], [0.5, 0]],
    }
    cases = [
        Case("match_anchors", name, {"iou": np.array(iou, float)}, numbers) for name, iou in made.items()
    ]
    exactly = {"iou": np.array([[0.375, 0], [0.125, 0.75], [0.25, 0.25]])}
    numbers = {"positive": 0.75, "negative": 0.5, "lowest": 0.375}
    cases.append(Case("match_anchors", "a best IoU that is just enough", exactly, numbers))
    for seed, (name, (n, m, positive, negative, lowest)) in enumerate(MATCHES.items()):
        iou = np.random.default_rng(seed).integers(0, 8, (n, m)) / 8
        iou *= np.random.default_rng(50 + seed).random((n, m)) < 0.6
        thresholds = {"positive": positive, "negative": negative, "lowest": lowest}
        cases.append(Case("match_anchors", name, {"iou": iou}, thresholds))
    return cases


def align_cases() -> list[Case]:
    return [
        Case(
            "roi_align",
            name,
            {
                "features": np.random.default_rng(seed).standard_normal((C, H, W)),
                "box": np.array(box, float),
            },
            {"stride": stride, "side": side},
        )
        for seed, (name, (C, H, W, stride, side, box)) in enumerate(ALIGNED.items())
    ]


def token_cases() -> list[Case]:
    return [
        Case(
            "write_tokens",
            name,
            {"numbers": 2 * np.random.default_rng(seed).standard_normal((n, points * 2 * E))},
            {"points": points},
        )
        for seed, (name, (n, points, E)) in enumerate(WRITTEN.items())
    ]


def pyramid_cases() -> list[Case]:
    found = []
    for seed, (name, (C, size, finest, side, sides)) in enumerate(PYRAMIDS.items()):
        rng = np.random.default_rng(seed)
        inputs = {
            level: rng.standard_normal((C, size // stride, size // stride))
            for level, stride in (("fine", 8), ("middle", 16), ("coarse", 32))
        }
        shape = np.array(sides)[:, None] * np.array([[0.9, 1.1]])
        corner = np.floor(rng.random((len(sides), 2)) * (size - shape))
        inputs["boxes"] = np.concatenate([corner, corner + np.floor(shape)], axis=1)
        found.append(Case("features_of_boxes", name, inputs, {"finest": finest, "side": side}))
    narrow = {
        **found[0].inputs,
        "boxes": np.array([[4, 8, 20, 118], [10, 3, 120, 23], [30, 40, 90, 100]], float),
    }
    found.append(Case("features_of_boxes", "long narrow boxes", narrow, {"finest": 24.0, "side": 3}))
    return found


def grid_anchors(scales, ratios, height: int, width: int, stride: float) -> np.ndarray:
    boxes = []
    for row, column, scale, ratio in product(range(height), range(width), scales, ratios):
        y, x = row * stride, column * stride
        w, h = stride * scale * ratio**-0.5, stride * scale * ratio**0.5
        boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    return np.array(boxes, scales.dtype)


def match_anchors(iou, positive: float, negative: float, lowest: float) -> np.ndarray:
    match = []
    for anchor in iou:
        number = max(range(len(anchor)), key=lambda k: (anchor[k], -k))
        match.append(number if anchor[number] >= positive else -1 if anchor[number] < negative else -2)
        for k, value in enumerate(anchor):
            if value == max(iou[:, k]) and value >= lowest:
                match[-1] = k
    return np.array(match, iou.dtype)


def samples(first: float, last: float, side: int) -> list[np.ndarray]:
    """For each bin, its samples along one axis."""
    size = (last - first) / side
    inside = (np.arange(math.ceil(size)) + 0.5) / math.ceil(size)
    return [first + size * (number + inside) for number in range(side)]


def roi_align(features, box, stride: float, side: int) -> np.ndarray:
    """By interpolation along one axis after the other."""
    x0, y0, x1, y1 = box / stride - 0.5
    columns, rows = samples(x0, x1, side), samples(y0, y1, side)
    out = np.zeros((len(features), side, side), features.dtype)
    for channel, row, column in np.ndindex(out.shape):
        along_x = [np.interp(columns[column], np.arange(len(line)), line) for line in features[channel]]
        values = np.stack(along_x, axis=1)  # [samples of the column, H]
        all_samples = [np.interp(rows[row], np.arange(values.shape[1]), line) for line in values]
        out[channel, row, column] = np.mean(all_samples)
    return out


def write_tokens(numbers, points: int) -> np.ndarray:
    of_points = np.split(numbers, points, axis=1)
    return np.stack([np.sin(own[:, ::2]) + own[:, 1::2] for own in of_points], axis=1)


def features_of_boxes(fine, middle, coarse, boxes, finest: float, side: int) -> np.ndarray:
    out = []
    for x0, y0, x1, y1 in boxes:
        level = 0
        while level < 2 and math.sqrt((x1 - x0) * (y1 - y0)) >= finest * 2 ** (level + 1):
            level += 1
        stride = 8 * 2**level
        out.append(roi_align((fine, middle, coarse)[level], np.array([x0, y0, x1, y1]), stride, side))
    return np.array(out)


EXERCISES = [
    Exercise(
        name="grid_anchors",
        task="the anchors of a map, cell by cell, in NumPy",
        cases=anchor_cases,
        reference=grid_anchors,
        hints=(
            "First the anchors of one cell around (0, 0): for each scale, for each ratio, a width and a height.",
            "width · height must be (stride · scale)², and height / width the ratio: √ratio is in both.",
            "Then add each cell's (x, y, x, y): rows outside, columns inside. np.mgrid gives y first.",
        ),
    ),
    Exercise(
        name="match_anchors",
        task="which object each anchor must find, in NumPy",
        cases=match_cases,
        reference=match_anchors,
        hints=(
            "The last rule comes last: it may overwrite what the first three say, for one object after the other.",
            "iou.max(axis=1) is each anchor's best IoU, iou.max(axis=0) each object's.",
            "An object's best anchors: iou[:, number] == iou[:, number].max(). There may be several.",
        ),
    ),
    Exercise(
        name="roi_align",
        task="RoIAlign of one box, sample by sample, in NumPy",
        cases=align_cases,
        reference=roi_align,
        hints=(
            "From pixels to cells first: box / stride - 0.5. Pixel 0 is half a cell before the centre of cell 0.",
            "A bin is (y1 - y0) / side cells high. Round the number of its samples up, along y and along x separately.",
            "Sample i of d lies at (i + 0.5) / d of the bin. value_at takes y first; a bin is the mean of its samples.",
        ),
    ),
    Exercise(
        name="write_tokens",
        task="from a head's numbers to prompt tokens, in torch",
        cases=token_cases,
        reference=write_tokens,
        framework="torch",
        differentiable=("numbers",),
        hints=(
            "Each token has 2·E numbers in a row; numbers 0, 2, 4, … of them go through the sine.",
            "numbers.unflatten(1, (points, -1, 2)) is [n, points, E, 2].",
        ),
    ),
    Exercise(
        name="features_of_boxes",
        task="find the bug: features of boxes from the level that suits their size",
        cases=pyramid_cases,
        reference=features_of_boxes,
        framework="torch",
        find_the_bug=True,
        hints=(
            "Which cases are right, and what do the sizes of their boxes have in common?",
            "Give it two boxes, the large one first, and compare row 0 of the result with that of this box alone.",
            "torch.cat(parts) has all boxes of level 0 first. Which box is row k? The inverse of that order is needed.",
        ),
    ),
]
