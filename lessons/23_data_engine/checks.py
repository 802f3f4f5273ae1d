"""What the answers of lesson 23 are held to: minisam's data engine, its annotator, its costs and its tally."""

from __future__ import annotations

import numpy as np
import torch

from minisam.engine import costs
from minisam.engine.confident_masks import look_through
from minisam.engine.tally import Tally
from minisam.engine.work import BRUSH
from minisam.evaluate.clicks import next_clicks
from minisam.lesson.exercise import Exercise
from minisam_kernels.cases import Case

BLOBS = {  # masks, H, W
    "one mask": (1, 9, 9),
    "a wide image": (4, 8, 14),
    "a tall image": (4, 15, 7),
    "many masks": (12, 16, 16),
}
SESSIONS = {  # things, clicks, satisfied, seconds at most
    "one thing": (1, 3, 0.9, 30.0),
    "eight clicks": (12, 8, 0.9, 30.0),
    "easily satisfied": (8, 4, 0.6, 30.0),
    "little time": (10, 5, 0.8, 20.0),
    "less time than the clicks take": (12, 8, 0.9, 10.0),
}
TABLES = {  # pictures, things of each
    "one picture": (1, 5),
    "a few": (4, 3),
    "many": (9, 6),
}


def blobs(rng: np.random.Generator, count: int, height: int, width: int) -> np.ndarray:
    """Ellipses, [count, height, width] of 0 and 1, none empty; some are cut off by the image's border."""
    y, x = np.mgrid[:height, :width]
    centre = rng.uniform(0, 1, (count, 2)) * (height, width)
    radius = rng.uniform(0.15, 0.45, (count, 2)) * (height, width) + 0.8
    off = [
        ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 for (cy, cx), (ry, rx) in zip(centre, radius, strict=True)
    ]
    found = np.stack([one <= max(1, one.min()) for one in off])
    return found.astype(float)


def patch(top: int, left: int, height: int, width: int, side: int = 10) -> np.ndarray:
    """A rectangle in a square image."""
    mask = np.zeros((side, side))
    mask[top : top + height, left : left + width] = 1
    return mask


def click_cases() -> list[Case]:
    square = patch(2, 2, 6, 6)
    made = {
        "half of it missed": (patch(2, 2, 6, 3), square),
        "spilled over": (patch(0, 2, 8, 6), patch(0, 2, 4, 6)),
        "nothing shown": (np.zeros((10, 10)), patch(1, 0, 5, 4)),
        "nothing wrong": (square, square),
        "missed beside spilled over": (patch(2, 2, 6, 3), patch(2, 5, 6, 5)),
        "missed as deep as spilled": (patch(6, 6, 3, 3), patch(1, 1, 3, 3)),
        "a long thin error and a short thick one": (
            np.maximum(patch(0, 9, 10, 1), patch(2, 0, 6, 2)),
            patch(2, 0, 6, 5),
        ),
    }
    found = [
        Case("next_click", name, {"masks": mask[None], "things": thing[None]})
        for name, (mask, thing) in made.items()
    ]
    two = {
        "masks": np.stack([square, patch(2, 2, 6, 3)]),
        "things": np.stack([square, square]),
    }
    found.append(Case("next_click", "one of two is right", two))
    for seed, (name, size) in enumerate(BLOBS.items()):
        rng = np.random.default_rng(seed)
        found.append(
            Case("next_click", name, {"masks": blobs(rng, *size), "things": blobs(rng, *size)}),
        )
    return found


def next_click(masks: np.ndarray, things: np.ndarray) -> np.ndarray:
    """minisam.evaluate.clicks, which the engine's annotator clicks with."""
    click, label = next_clicks(torch.tensor(masks) > 0.5, torch.tensor(things) > 0.5)
    return torch.cat([click, label[:, None]], dim=1).numpy().astype(masks.dtype)


def region_cases() -> list[Case]:
    ring = patch(1, 1, 8, 8) - patch(3, 3, 4, 4)
    corners = patch(2, 2, 3, 3) + patch(5, 5, 3, 3)
    made = {
        "a square": patch(2, 3, 5, 5),
        "at the border": patch(0, 0, 6, 4),
        "all of the image": patch(0, 0, 10, 10),
        "a ring": ring,
        "two squares that meet at a corner": corners,
        "nothing": np.zeros((10, 10)),
    }
    found = [Case("outline_length", name, {"regions": region[None]}) for name, region in made.items()]
    for seed, (name, size) in enumerate(BLOBS.items()):
        found.append(
            Case("outline_length", name, {"regions": blobs(np.random.default_rng(seed), *size)}),
        )
    return found


def outline_length(regions: np.ndarray) -> np.ndarray:
    """minisam.engine.costs, one region at a time."""
    lengths = [costs.outline_length(torch.tensor(region) > 0.5) for region in regions]
    return np.array(lengths, regions.dtype)


def session_cases() -> list[Case]:
    found = []
    for seed, (name, (P, N, satisfied, most_seconds)) in enumerate(SESSIONS.items()):
        rng = np.random.default_rng(seed)
        inputs = {"iou": rng.uniform(0.1, 1, (P, N)), "brush": rng.uniform(2, 40, (P, N))}
        numbers = {"satisfied": satisfied, "most_seconds": most_seconds}
        found.append(Case("annotation_seconds", name, inputs, numbers))
    exactly = {"iou": np.array([[0.5, 0.875, 0.96875]]), "brush": np.array([[9.0, 3.0, 1.0]])}
    numbers = {"satisfied": 0.875, "most_seconds": 30.0}
    found.append(Case("annotation_seconds", "an IoU that is just not enough", exactly, numbers))
    all_of_it = {"iou": np.full((1, 10), 0.5), "brush": np.full((1, 10), 9.5)}  # 1.5 + 10 · 1.9 + 9.5 = 30
    return [*found, Case("annotation_seconds", "all of the time that there is", all_of_it, numbers)]


def annotation_seconds(
    iou: np.ndarray, brush: np.ndarray, satisfied: float, most_seconds: float
) -> np.ndarray:
    """As minisam.engine.annotator finishes a thing, one at a time, a click at a time."""
    price = costs.Costs()
    spent = []
    for of_thing, brush_of_thing in zip(iou, brush, strict=True):
        clicks = 0
        for reached in of_thing:
            clicks += 1
            if reached > satisfied:
                break
        seconds, kept = price.clicking(clicks), True
        if of_thing[clicks - 1] <= satisfied:
            kept = seconds + brush_of_thing[-1] <= most_seconds
            seconds += brush_of_thing[-1] if kept else 0
        spent.append((seconds, kept))
    return np.array(spent, iou.dtype)


def proposal_cases() -> list[Case]:
    whole, part = patch(1, 1, 8, 8), patch(1, 1, 8, 6)
    apart, almost = patch(0, 9, 4, 1), patch(1, 1, 8, 7)
    made = {
        "one found, one missing": ([whole], [0.9], [whole, apart], 0.75),
        "a mask of nothing that is there": ([patch(5, 5, 5, 5)], [0.95], [whole, part, apart], 0.75),
        "the same thing twice": ([whole, whole], [0.9, 0.8], [whole, apart], 0.75),
        "a whole and its largest part": ([almost, part], [0.9, 0.8], [whole, part], 0.7),
        "one mask between two things": ([almost], [0.9], [whole, part], 0.7),
        "a small mask in a large thing": ([patch(3, 3, 2, 2)], [0.9], [whole, apart], 0.7),
        "a mask beside its thing": ([patch(2, 0, 4, 8)], [0.9], [patch(2, 2, 4, 8), apart], 0.7),
        "two masks, the better one last": ([almost, almost], [0.3, 0.9], [whole, part, apart], 0.7),
        "the surer mask comes second": ([almost, whole], [0.5, 0.9], [part, whole], 0.8),
        "an IoU of exactly the limit": ([patch(0, 0, 5, 4)], [0.9], [patch(0, 0, 5, 8), apart], 0.5),
    }
    found = []
    for name, (masks, predicted, things, right) in made.items():
        inputs = {
            "masks": np.stack(masks),
            "predicted_iou": np.array(predicted),
            "things": np.stack(things),
        }
        found.append(Case("still_missing", name, inputs, {"right": right}))
    for seed, (N, T, right) in enumerate(((8, 5, 0.4), (20, 8, 0.3))):
        rng = np.random.default_rng(seed)
        inputs = {
            "masks": blobs(rng, N, 12, 14),
            "predicted_iou": rng.permutation(N) / N,
            "things": blobs(rng, T, 12, 14),
        }
        found.append(Case("still_missing", f"{N} masks of {T} things", inputs, {"right": right}))
    return found


def still_missing(
    masks: np.ndarray, predicted_iou: np.ndarray, things: np.ndarray, right: float
) -> np.ndarray:
    """minisam.engine.confident_masks."""
    order = np.argsort(-predicted_iou, kind="stable")
    given, sure = torch.tensor(masks[order]) > 0.5, torch.tensor(predicted_iou[order])
    _, done = look_through(given, sure, torch.tensor(things) > 0.5, costs.Costs(), right)
    return (~done).numpy().astype(masks.dtype)


def table_cases() -> list[Case]:
    found = []
    for seed, (name, (pictures, things)) in enumerate(TABLES.items()):
        rng = np.random.default_rng(seed)
        kept = (rng.random((pictures, things)) < 0.6).astype(float)
        kept[0, :2] = 1, 0
        inputs = {
            "seconds": rng.uniform(3, 30, (pictures, things)),
            "kept": kept,
            "iou": rng.choice([0.3, 0.6, 0.8, 0.93, 0.97], (pictures, things)),
        }
        found.append(Case("tally", name, inputs))
    kept = np.array([[1, 1, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]], float)
    inputs = {
        "seconds": np.arange(12.0).reshape(3, 4) + 4,
        "kept": kept,
        "iou": np.where(kept > 0, [0.95, 0.7, 0.96, 0.2], 0.95),
    }
    return [*found, Case("tally", "a picture without a mask", inputs)]


def tally(seconds: np.ndarray, kept: np.ndarray, iou: np.ndarray) -> np.ndarray:
    """minisam.engine.tally, from records as the engine writes them."""
    records = []
    for of_picture, came, quality in zip(seconds, kept > 0, iou, strict=True):
        annotations = [{"source": BRUSH, "true_iou": one} for one in quality[came]]
        about = {"clicks": 0, "seconds": of_picture.sum(), "left": int((~came).sum()), "rejected": 0}
        records.append({"annotations": annotations, "engine": about})
    summary = Tally.of(records).summary()
    wanted = ("seconds_a_mask", "masks_a_picture", "over_90")
    return np.array([summary[name] for name in wanted], seconds.dtype)


EXERCISES = [
    Exercise(
        name="next_click",
        task="where an annotator clicks next: the deepest pixel of the error, in torch",
        cases=click_cases,
        reference=next_click,
        framework="torch",
        hints=(
            "Missed is wanted and not shown; spilled over is shown and not wanted. Keep the two apart.",
            "squared_distance_transform(missed) says how deep each pixel lies in what was missed; 0 outside of it.",
            "place % W is x and place // W is y, for `place` an argmax over the flattened image.",
        ),
    ),
    Exercise(
        name="outline_length",
        task="how much there is to trace: pixels on the outline of a region, in NumPy",
        cases=region_cases,
        reference=outline_length,
        hints=(
            "A pixel lies inside if all its four neighbours belong to the region: above, below, left, right.",
            "np.pad with zeros puts a frame around each image: what lies beyond the border is outside.",
            "padded[:, :-2, 1:-1] holds, at each pixel, the neighbour above it.",
        ),
    ),
    Exercise(
        name="annotation_seconds",
        task="what a thing costs: clicks until it will do, then the brush, or neither, in NumPy",
        cases=session_cases,
        reference=annotation_seconds,
        hints=(
            "(iou > satisfied).argmax(axis=1) is the first click that was enough, counted from 0, where there is one.",
            "Where none was, all N clicks are spent, and the brush goes over what the last one left.",
            "A thing that is left costs its clicks, and no brush.",
        ),
    ),
    Exercise(
        name="still_missing",
        task="what is left to annotate after masks were given: greedy matching, in NumPy",
        cases=proposal_cases,
        reference=still_missing,
        hints=(
            "Take the masks by falling predicted IoU; each can only be of one thing.",
            "Its thing is the one that it has the highest true IoU with, among those that have no mask yet.",
            "If that IoU is not above `right`, the mask is thrown away, and nothing changes.",
        ),
    ),
    Exercise(
        name="tally",
        task="find the bugs: three of them in the table that a stage is judged by",
        cases=table_cases,
        reference=tally,
        find_the_bug=True,
        hints=(
            "What does a thing cost that was clicked on and then left? Where is that time?",
            "A picture with one mask and a picture with ten: do they count alike in seconds a mask?",
            "Where is a picture on which nothing came out?",
        ),
    ),
]
