"""What the answers of lesson 0 are held to: what minisam's predictor does before and after the network."""

from types import SimpleNamespace

import numpy as np
import torch

from minisam.lesson.exercise import Exercise
from minisam.model.sam import Sam
from minisam.predict.resize_longest_side import ResizeLongestSide
from minisam_kernels.cases import Case

IMAGES = {  # height, width, size
    "already the network's size": (64, 64, 64),
    "a square photo": (300, 300, 256),
    "the photo of this page": (600, 512, 256),
    "a wide photo, for SAM": (333, 500, 1024),
    "a tall photo, for SAM": (1501, 999, 1024),
    "smaller than the network's": (13, 40, 64),
    "a side that ends on a half": (5, 8, 20),
}
MASKS = {  # C, h = w, height, width, size
    "already the network's size": (1, 16, 64, 64, 64),
    "a square photo": (3, 8, 50, 50, 32),
    "a wide photo": (2, 16, 45, 70, 64),
    "a tall photo": (3, 8, 75, 40, 32),
    "smaller than the network's": (1, 16, 13, 30, 64),
    "a side that ends on a half": (2, 8, 10, 16, 20),
}


def point_cases() -> list[Case]:
    found = []
    for seed, (name, (height, width, size)) in enumerate(IMAGES.items()):
        points = np.random.default_rng(seed).uniform(0, (width, height), (5, 2))
        constants = {"height": height, "width": width, "size": size}
        found.append(Case("to_network_pixels", name, {"points": points}, constants))
    edges = {"points": np.array([[0.0, 0], [500, 333], [499.5, 332.5], [-3, 20], [250, 340]])}
    constants = {"height": 333, "width": 500, "size": 1024}
    return [*found, Case("to_network_pixels", "points at the edge and beyond it", edges, constants)]


def to_network_pixels(points: np.ndarray, height: int, width: int, size: int) -> np.ndarray:
    """The predictor's."""
    return ResizeLongestSide(size).apply_coords(points, (height, width))


def mask_cases() -> list[Case]:
    found = []
    for seed, (name, (C, h, height, width, size)) in enumerate(MASKS.items()):
        logits = 4 * np.random.default_rng(seed).standard_normal((C, h, h))
        constants = {"height": height, "width": width, "size": size}
        found.append(Case("logits_to_image", name, {"logits": logits}, constants))
    return found


def logits_to_image(logits: np.ndarray, height: int, width: int, size: int) -> np.ndarray:
    """Sam's own, which asks its network for the size of its input alone."""
    network = SimpleNamespace(image_encoder=SimpleNamespace(img_size=size))
    seen = ResizeLongestSide.get_preprocess_shape(height, width, size)
    given = torch.as_tensor(logits)[None]
    return Sam.postprocess_masks(network, given, seen, (height, width))[0].numpy()  # pyright: ignore


def iou_cases() -> list[Case]:
    rng = np.random.default_rng(0)
    truth = (rng.random((3, 6, 7)) < 0.4).astype(float)
    noisy = 2 * truth - 1 + rng.normal(0, 1.2, truth.shape)
    whole_numbers = np.round(noisy)
    empty = np.stack([truth[0], 0 * truth[0], 0 * truth[0]])
    return [
        Case("mask_iou", "logits far from zero", {"logits": np.where(noisy > 0, 8.0, -8.0), "truth": truth}),
        Case("mask_iou", "nothing there, nothing found", {"logits": 10 * empty - 5, "truth": empty}),
        Case("mask_iou", "logits of any size", {"logits": noisy, "truth": truth}),
        Case("mask_iou", "logits of exactly zero", {"logits": whole_numbers, "truth": truth}),
        Case("mask_iou", "a faint mask", {"logits": 0.1 * noisy[:1], "truth": truth[:1]}),
    ]


def mask_iou(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Pixel by pixel."""
    found = []
    for values, wanted in zip(logits, truth, strict=True):
        pairs = [(value > 0, bool(true)) for value, true in zip(values.flat, wanted.flat, strict=True)]
        union = sum(mask or true for mask, true in pairs)
        found.append(sum(mask and true for mask, true in pairs) / max(1, union))
    return np.array(found, logits.dtype)


EXERCISES = [
    Exercise(
        name="to_network_pixels",
        task="a click moves along with the image as it is scaled, in NumPy",
        cases=point_cases,
        reference=to_network_pixels,
        hints=(
            "scale = size / max(height, width); each new side is int(side * scale + 0.5).",
            "x is multiplied by new_width / width, y by new_height / height; rounding makes them differ a little.",
        ),
    ),
    Exercise(
        name="logits_to_image",
        task="from the network's small masks back to the image's pixels, in torch",
        cases=mask_cases,
        reference=logits_to_image,
        framework="torch",
        hints=(
            'F.interpolate(x, size=(rows, columns), mode="bilinear") wants four axes: logits[None].',
            "Three steps: to size × size; cut off the padding; to height × width.",
            "The image fills the first int(height * scale + 0.5) rows and int(width * scale + 0.5) columns.",
        ),
    ),
    Exercise(
        name="mask_iou",
        task="find the bug: intersection over union of masks that are logits",
        cases=iou_cases,
        reference=mask_iou,
        find_the_bug=True,
        hints=(
            "It is right where all logits are far from zero. Which ones are counted wrongly?",
            "A probability of one half: which logit is that?",
        ),
    ),
]
