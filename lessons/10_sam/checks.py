"""What the answers of lesson 10 are held to: minisam's own way to the network and back, and the original's numbers."""

import copy

import numpy as np
import torch

from minisam.config import CONFIGS, build_from_config
from minisam.lesson.exercise import Exercise
from minisam.lesson.find import FOLDER
from minisam.lesson.source import run_file
from minisam.predict import ResizeLongestSide
from minisam_kernels.cases import Case

ORIGINAL = run_file(FOLDER / "10_sam" / "original.py")
SIZES = {  # height, width, size
    "a photo": (1200, 1800, 1024),
    "a side that is rounded down": (133, 300, 64),
    "a side that is rounded up": (97, 300, 64),
    "a tall image, enlarged": (90, 37, 128),
    "a square": (50, 50, 256),
    "a side that ends on a half": (8, 5, 20),
}
MASKS = {  # B, C, l, size, h, w, height, width
    "a wide image, enlarged": (1, 3, 8, 32, 19, 32, 41, 70),
    "a tall image, made smaller": (2, 3, 8, 32, 32, 13, 20, 8),
    "one row": (1, 2, 4, 16, 1, 16, 3, 40),
    "a square": (1, 1, 4, 16, 16, 16, 20, 20),
}
PROMPTS = {  # images, prompts of each, D, h, w
    "one image, one prompt": (1, 1, 4, 3, 3),
    "one image, three prompts": (1, 3, 5, 2, 4),
    "two images, two prompts": (2, 2, 3, 4, 2),
    "three images, one prompt": (3, 1, 8, 2, 2),
}
SAM = build_from_config(ORIGINAL.SMALL)
SAM.load_state_dict(ORIGINAL.draw_weights(ORIGINAL.shapes_of(SAM)), strict=True)
LARGER_SAM = copy.deepcopy(SAM)
LARGER_SAM.set_image_size(96)


def point_cases() -> list[Case]:
    cases = []
    for seed, (name, (height, width, size)) in enumerate(SIZES.items()):
        points = np.random.default_rng(seed).uniform(0, (width, height), (4, 2))
        constants = {"height": height, "width": width, "size": size}
        cases.append(Case("scale_points", name, {"points": points}, constants))
    edges = {"points": np.array([[0.0, 0], [1800, 1200], [1799.5, 1199.5], [-3, 20], [900, 1207]])}
    constants = {"height": 1200, "width": 1800, "size": 1024}
    return [*cases, Case("scale_points", "points at the edge and beyond it", edges, constants)]


def mask_cases() -> list[Case]:
    cases = []
    for seed, (name, (B, C, side, size, h, w, height, width)) in enumerate(MASKS.items()):
        low_res = np.random.default_rng(seed).standard_normal((B, C, side, side))
        constants = {"size": size, "h": h, "w": w, "height": height, "width": width}
        cases.append(Case("postprocess", name, {"low_res": low_res}, constants))
    return cases


def segment_cases() -> list[Case]:
    """The stored prompts; the network stands among the numbers that follow the arrays."""
    cases = []
    for name, (_, (height, width), _) in ORIGINAL.PROMPTS.items():
        constants = {"sam": SAM, "height": height, "width": width}
        cases.append(Case("segment", name, ORIGINAL.draw_prompt(name), constants))
    prompt = next(iter(cases)).inputs
    inputs = {
        **prompt,
        "image": np.pad(prompt["image"], ((0, 0), (0, 0), (0, 96 - prompt["image"].shape[2]))),
    }
    constants = {"sam": LARGER_SAM, "height": 49, "width": 110}
    return [*cases, Case("segment", "a network for images of 96 pixels", inputs, constants)]


def input_cases() -> list[Case]:
    cases = []
    for seed, (name, (images, prompts, D, h, w)) in enumerate(PROMPTS.items()):
        normal = np.random.default_rng(seed).standard_normal
        inputs = {"embeddings": normal((images, D, h, w)), "dense": normal((images * prompts, D, h, w))}
        cases.append(Case("decoder_input", name, inputs))
    return cases


def scale_points(points, height: int, width: int, size: int) -> np.ndarray:
    return ResizeLongestSide(size).apply_coords(points, (height, width))


def postprocess(low_res, size: int, h: int, w: int, height: int, width: int) -> np.ndarray:
    """minisam's, for a network of that input size."""
    sam = build_from_config(CONFIGS["nano"])
    sam.set_image_size(size)
    return sam.postprocess_masks(torch.from_numpy(low_res), (h, w), (height, width)).numpy()


def segment(image, points, labels, sam, height: int, width: int) -> np.ndarray:
    """In float64 what segment-anything's own code answered; in float32 what minisam does, which measures rounding.

    For the network for larger images there is no stored answer: minisam's own, in float64.
    """
    dtype = torch.from_numpy(image).dtype
    if dtype == torch.float64 and sam is SAM:
        name = next(name for name, prompt in ORIGINAL.PROMPTS.items() if prompt[1] == (height, width))
        stored = np.load(FOLDER / "10_sam" / "original.npz")
        return stored[f"{name}/logits"][np.argsort(-stored[f"{name}/iou"])].astype(np.float64)
    record = {
        "image": torch.from_numpy(image),
        "original_size": (height, width),
        "point_coords": torch.from_numpy(
            points * scale_points(np.ones((1, 2), np.float32), height, width, sam.image_encoder.img_size)
        )[None],
        "point_labels": torch.from_numpy(labels)[None],
    }
    sam = copy.deepcopy(sam).to(dtype)
    (result,) = sam([record], multimask_output=True)
    logits = sam.postprocess_masks(result["low_res_logits"], image.shape[1:], (height, width))[0]
    return logits[result["iou_predictions"][0].argsort(descending=True)].numpy()


def decoder_input(embeddings, dense) -> np.ndarray:
    """Image by image."""
    own = np.split(dense, len(embeddings))
    return np.concatenate([image + prompts for image, prompts in zip(embeddings, own, strict=True)])


EXERCISES = [
    Exercise(
        name="scale_points",
        task="clicks on the image, in pixels of the network's input, in NumPy",
        cases=point_cases,
        reference=scale_points,
        hints=(
            "The new sides: int(side * size / max(height, width) + 0.5), for height and for width.",
            "x is multiplied by new width / width, y by new height / height.",
        ),
    ),
    Exercise(
        name="postprocess",
        task="logits from the network's grid to the original image, in torch",
        cases=mask_cases,
        reference=postprocess,
        framework="torch",
        differentiable=("low_res",),
        hints=(
            "Three lines: enlarge to (size, size), cut, scale to (height, width).",
            "The image lies at the top left of the square: [:, :, :h, :w].",
        ),
    ),
    Exercise(
        name="segment",
        task="all of SAM in torch, held to the stored answers of segment-anything's own code",
        cases=segment_cases,
        reference=segment,
        framework="torch",
        without=("minisam.model.sam.Sam.forward", "minisam.model.sam.Sam.postprocess_masks"),
        hints=(
            "The image on the input is h × w = image.shape[1:], the original height × width: x times w / width.",
            "ready, points and labels need an axis for the batch in front: [None].",
            "iou is [1, 3]: iou[0].argsort(descending=True) is the order, best first.",
        ),
    ),
    Exercise(
        name="decoder_input",
        task="find the bug: image embedding and mask prompt come together",
        cases=input_cases,
        reference=decoder_input,
        find_the_bug=True,
        hints=(
            "What does a dense embedding of zeros do to the image? What should it do?",
            "The paper's sentence stands above the exercise.",
        ),
    ),
]
